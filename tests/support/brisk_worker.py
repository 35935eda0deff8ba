"""A worker whose ingests soon notice that it was killed: `python -m tests.support.brisk_worker`."""

from __future__ import annotations

from datetime import timedelta

from workers.worker import main
from workflows import ingest

if __name__ == "__main__":
    ingest._SILENCE_EMBEDDING = timedelta(seconds=8)
    main()
