"""From items to vectors: preprocessing, batching and the device; knows no HTTP."""
