"""The verbs on a GPU through CuPy: device code in .cu files, started by launch.py; verbs and products."""
