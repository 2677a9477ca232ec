"""What `model.evaluation` is made of: embeddings, scores, metrics with intervals, and the report."""
