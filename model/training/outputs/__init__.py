"""What a training writes: its state, log, record, and the head of its labels."""
