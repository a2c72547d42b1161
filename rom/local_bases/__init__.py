"""Several small bases instead of a large one: clusters of solutions."""
