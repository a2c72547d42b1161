"""Weights that come with petrov, and how they were made."""
