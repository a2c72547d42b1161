"""Stored forms of one matrix."""
