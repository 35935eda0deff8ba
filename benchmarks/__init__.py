"""Benchmarks: what a turn costs beside what it is made of. Run `python -m benchmarks.turn`."""
