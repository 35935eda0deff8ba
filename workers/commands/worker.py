"""`perdure worker`: run a worker in the foreground."""

from __future__ import annotations


def worker() -> None:
    """Run a worker until SIGTERM or Ctrl-C.

    What it is doing then has PERDURE_GRACEFUL_SHUTDOWN_TIMEOUT to end, and is else left to another one.

    A line of JSON on stdout says when it is ready. Run two at least, so that one can be lost.
    """
    from workers.settings import Settings
    from workers.worker import serve

    serve(Settings.load())
