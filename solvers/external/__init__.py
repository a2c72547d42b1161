"""Other libraries at petrov's door: SciPy's signatures with our methods inside, and preconditioners that others built."""
