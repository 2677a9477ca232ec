"""Files of any kind to 8-bit pictures; imports no torch."""
