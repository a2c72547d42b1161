"""Lower bounds of coercivity constants, and estimates of inf-sup constants."""
