"""Networks: what they are and what they compute, in NumPy; the same in torch, to train them."""
