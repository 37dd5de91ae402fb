"""How fast the library is, in ratios to what one would write by hand; run it with `python -m tests.benchmarks`."""
