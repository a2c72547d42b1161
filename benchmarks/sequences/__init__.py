"""`petrov bench sequences`: what recycling, blocks and petrov.Sequence are worth, beside a paper and the rivals."""
