"""The schema of the OpenAI embeddings API."""
