"""What is minimised in training, a file a kind of recipe: its torch module and the loss of one system."""
