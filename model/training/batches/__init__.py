"""From manifest rows to training batches."""
