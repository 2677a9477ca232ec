"""Fine-tuning and training from scratch with the UniCL objective."""
