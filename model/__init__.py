"""MedImageInsight: encoders, checkpoints, and the engine that runs them. Independent of HTTP and of the environment."""
