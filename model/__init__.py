"""The model side: MedImageInsight's encoders, its checkpoints, and the engine that runs them. Knows nothing of HTTP."""
