"""`perdure corpus evaluate`: measure what retrieval finds by golden queries, and fail when it is too little."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group
from rich.text import Text

from perdure.cli.output import FAILED, Format, Output, progress, show
from perdure.cli.session_text import table_of
from perdure.working_set import CompilerConfig
from workers.commands.corpus import Name
from workers.commands.run import run

if TYPE_CHECKING:
    from perdure.evaluation import Evaluation
    from workers.settings import Settings

Share = Annotated[float | None, typer.Option(min=0, max=1, help="Fail when the mean is less.")]


def evaluate(
    name: Name,
    golden: Annotated[
        Path, typer.Argument(help='JSON: `[{"query": "…", "expected_paths": ["a.md"], "k": 10}]`; k is 10 if left out.')
    ],
    budget: Annotated[
        int, typer.Option(min=1, max=100_000, help="Tokens of each working set; what does not fit is not found.")
    ] = CompilerConfig().token_budget,
    min_recall: Share = None,
    min_precision: Share = None,
    min_mrr: Share = None,
    min_ndcg: Share = None,
    max_p99_ms: Annotated[float | None, typer.Option(min=0, help="Fail when compiling is slower.")] = None,
    output: Output = Format.TEXT,
) -> None:
    """Measure recall, precision, MRR and nDCG of golden queries, by relevance, and how long they take.

    Ends with 1 when a measure misses its threshold, or, if there is one, was taken without the index. A path counts
    once, where its best span stands. A query that expects no path counts as answered: its recall and nDCG are 1, marked
    with an asterisk.
    """
    from perdure.evaluation import read_golden

    queries = read_golden(golden)

    async def work(settings: Settings) -> tuple[Evaluation, list[str]]:
        from workers.evaluation import evaluate_corpus

        return await evaluate_corpus(settings, name, queries, CompilerConfig(token_budget=budget))

    found, unknown = run(work)
    least = {"recall": min_recall, "precision": min_precision, "mrr": min_mrr, "ndcg": min_ndcg}
    missed = misses(found, least, max_p99_ms)
    show({**found.model_dump(mode="json"), "missed": missed}, output, lambda: _text(found))
    if unknown:
        progress(f"Expected, but not in the corpus: {', '.join(unknown)}.")
    if found.degraded:
        reason = next(result.degraded_reason for result in found.results if result.degraded_reason)
        progress(f"{found.degraded} of {found.queries} working sets were degraded: {reason}")
    for miss in missed:
        progress(f"Missed: {miss}.")
    gated = max_p99_ms is not None or any(value is not None for value in least.values())
    if missed or (gated and found.degraded):
        raise typer.Exit(FAILED)


def misses(found: Evaluation, least: Mapping[str, float | None], max_p99_ms: float | None) -> list[str]:
    """The thresholds that `found` does not reach, each as a person reads it."""
    values = found.model_dump(include=set(least))
    missed = [
        f"{name} is {values[name]:.4f}, less than {bound:g}"
        for name, bound in least.items()
        if bound is not None and values[name] < bound
    ]
    if max_p99_ms is not None and found.p99_latency_ms > max_p99_ms:
        missed.append(f"p99 latency is {found.p99_latency_ms:.1f} ms, more than {max_p99_ms:g} ms")
    return missed


def _text(found: Evaluation) -> Group:
    each = table_of("query", "k", "recall", "precision", "1/rank", "nDCG", "ms")
    for result in found.results:
        measures = (result.recall, result.precision, result.reciprocal_rank, result.ndcg)
        recall, *others = (f"{value:.3f}" for value in measures)
        mark = "" if result.expected_paths else "*"
        cells = (result.query, str(result.k), recall + mark, *others, f"{result.latency_ms:.1f}")
        each.add_row(*map(Text, cells))  # as they are: a query may hold what rich takes for markup
    whole = table_of("queries", "recall", "precision", "MRR", "nDCG", "p50 ms", "p99 ms", "degraded")
    means = (found.recall, found.precision, found.mrr, found.ndcg)
    latencies = (found.p50_latency_ms, found.p99_latency_ms)
    whole.add_row(
        str(found.queries),
        *(f"{value:.3f}" for value in means),
        *(f"{value:.1f}" for value in latencies),
        str(found.degraded),
    )
    empty = sum(not result.expected_paths for result in found.results)
    marked = [Text(f"* no path is expected: recall and nDCG count as 1 (queries: {empty})", "dim")] if empty else []
    return Group(each, *marked, Text(), whole)
