"""The schema of the Azure endpoint."""
