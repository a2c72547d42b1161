"""Time-dependent and nonlinear problems: POD-Galerkin with DEIM."""
