"""Multigrid: one hierarchy and one cycle, fed by several set-ups."""
