"""Benchmarks, each run as `python -m benchmarks.NAME`.

`turn`: what a turn costs beside what it is made of. `retrieval_quality`: what is found, beside a plain baseline.
`ingest_speed`: ingest beside its embedder.
"""

import activities  # noqa: F401 - first, since it says how many threads NumPy may have
