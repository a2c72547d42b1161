"""Functions of A(mu) from a few nodes: inverse, log-determinant, roots, exponentials."""
