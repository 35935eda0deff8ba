"""`perdure worker`: run a worker in the foreground."""

from __future__ import annotations


def worker() -> None:
    """Run a worker until SIGTERM or Ctrl-C; what it is doing is finished first.

    A line of JSON on stdout says when it is ready. Run two at least, so that one can be lost.
    """
    from workers.settings import Settings
    from workers.worker import serve

    serve(Settings.load())
