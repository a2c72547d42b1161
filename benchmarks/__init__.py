"""The benchmark suite: problems x methods x peers, one runner, JSON out, an HTML report, and a comparison of two runs."""

if not __name__.startswith("petrov."):
    raise ImportError("benchmarks/ is the package petrov.benchmarks: run Python with petrov installed and import that")
