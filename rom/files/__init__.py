"""Files that hold no code: models, checkpoints."""
