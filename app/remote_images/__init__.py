"""Images given by their URL."""
