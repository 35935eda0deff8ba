"""`perdure doctor`: whether everything a session depends on is there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer
from rich.markup import escape
from rich.table import Table

from perdure.cli.output import OK, UNAVAILABLE, Format, Output, show

if TYPE_CHECKING:
    from workers.checks import Finding


def doctor(output: Output = Format.TEXT) -> None:
    """Check Temporal, its search attributes, PostgreSQL and its schema, Weaviate, the embedder and the workers.

    Ends with 4 if one of them is not as it should be; each such line says what to do.
    """
    from workers.checks import check_all
    from workers.settings import Settings

    findings = asyncio.run(check_all(Settings.load()))
    show(findings, output, lambda: _table(findings))
    raise typer.Exit(OK if all(finding.ok for finding in findings) else UNAVAILABLE)


def _table(findings: Sequence[Finding]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    for finding in findings:
        mark = "[green]ok[/]" if finding.ok else "[red]failed[/]"
        detail = escape(finding.detail) + (f"\n[bold]{escape(finding.next_step)}[/]" if finding.next_step else "")
        table.add_row(mark, finding.name, detail)
    return table
