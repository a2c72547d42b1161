"""A GPU through CuPy: device code in .cu files, started by launch.py; verbs, products, what preconditioners are made of."""
