"""Integrators on trees beside their peers."""
