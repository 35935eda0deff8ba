"""The commands of `perdure` that build things. Each module here imports late what is heavy."""

from __future__ import annotations

import typer

from workers.commands import corpus, demo, dev, doctor, evaluate, migrate, worker


def attach(root: typer.Typer) -> None:
    """Add every command of this package to `root`."""
    root.add_typer(corpus.corpus)
    corpus.corpus.command()(evaluate.evaluate)
    for command in (corpus.reindex, demo.demo, dev.dev, doctor.doctor, migrate.migrate, worker.worker):
        root.command()(command)
