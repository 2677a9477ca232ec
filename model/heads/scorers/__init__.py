"""What maps an embedding to a score per label: one file per kind of head."""
