"""Multigrid whose prolongation, aggregates and smoother are chosen entry by entry by a small network."""
