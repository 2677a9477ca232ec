"""The schema of the MedImageInsight wrapper that lion-ai publishes."""
