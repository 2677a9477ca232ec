"""Release folders, weights files and their download."""
