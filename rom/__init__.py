"""Reduced-order models from a black box: hand over assemble(mu), get answers for thousands of parameters with their error."""

if not __name__.startswith("petrov."):
    raise ImportError("rom/ is the package petrov.rom: install petrov (or put src/ on the path) and import that")
