"""A(mu), b(mu) and L(mu) as sums of terms with weights: recipes, terms, what is evaluated online."""
