"""Stand-in for Microsoft's `healthcareai_toolkit`."""
