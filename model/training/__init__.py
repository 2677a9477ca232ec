"""What `model.finetune` is made of: how data becomes batches, the step, what moves weights, what is kept of a run."""
