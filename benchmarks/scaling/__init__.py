"""`petrov bench scaling`: scaling over ranks, measured, and a model of traffic and latency that is carried on to a thousand."""
