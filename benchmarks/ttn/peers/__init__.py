"""Evolutions by other libraries, each in a process of its own: `python -m peers LIBRARY`, with any interpreter that has it and
the parent of this folder on its path. Nothing here needs petrov."""
