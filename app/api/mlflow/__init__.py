"""The schema of MLflow's scoring server."""
