"""Learned preconditioners beside what they have to beat."""
