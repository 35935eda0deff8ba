"""Why a span that one working set cites is not in another."""

from __future__ import annotations

from perdure.working_set import WorkingSet

_BUDGET = "over the budget of {token_budget} tokens"
_DROPPED = {
    "budget_used_up": _BUDGET,
    "first_line_over_budget": _BUDGET,  # of which less was left than its first line takes
    "max_spans": "over the limit max_spans={max_spans}",
}


def why_lost(span_id: str, before: WorkingSet, after: WorkingSet) -> str:
    """Why the span, which `before` cites, is not in `after`, which was compiled with its explanation."""
    return f"is {_absence(span_id, after, before)}"


def why_gained(span_id: str, before: WorkingSet | None, after: WorkingSet) -> str:
    """Why the span, which `after` cites, is not in `before`: as stored, with the explanation of making it again.

    If compiling the stored set again gives another hash, or there was none, the reason is unknown; the text says so.
    """
    if before is None:
        return "there was no working set"
    return f"was {_absence(span_id, before, after)}"


def _absence(span_id: str, lacking: WorkingSet, citing: WorkingSet) -> str:
    manifest, explain = lacking.manifest, lacking.explain
    if explain is None:
        return "left out while degraded" if lacking.degraded else "left out; it is not made the same any more"
    config = explain["thresholds"]
    for dropped in explain["dropped"]:
        if dropped["span_id"] == span_id:
            return _DROPPED[dropped["reason"]].format_map(config)
    corpus, version = source = manifest.get("corpus"), manifest.get("corpus_version")
    if version == 0:
        return f"not there: {corpus} had no version yet"
    if config["token_budget"] == 0:
        return _BUDGET.format_map(config)
    if lacking.degraded:
        return "not found by full text alone"
    if source != (citing.manifest.get("corpus"), citing.manifest.get("corpus_version")):
        return f"not found in version {version} of {corpus}"
    return f"not among the {config['semantic_k']} nearest, nor the {config['lexical_k']} best by words"
