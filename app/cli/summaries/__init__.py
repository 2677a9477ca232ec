"""What the commands print about what they have made."""
