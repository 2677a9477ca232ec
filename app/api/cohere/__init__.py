"""The schema of Cohere's `/v2/embed`, which MedImageInsight Premium has too."""
