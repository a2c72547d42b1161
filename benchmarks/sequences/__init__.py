"""`petrov bench sequences`: what recycling, sorting, block methods and petrov.Sequence are worth, beside a paper and its rivals."""
