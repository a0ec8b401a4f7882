"""Size M, and people at work in it: what the benchmarks of the web side share."""
