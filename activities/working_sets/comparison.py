"""How a stored turn is compiled again, and how the outcome compares with what is stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from activities.working_sets.absence import why_gained, why_lost
from activities.working_sets.manifests import differences
from perdure.diff import diff
from perdure.message import Message, text_of
from perdure.recompile import SHOWN_SPANS, Change, SpanRef, TurnComparison
from perdure.session import SessionConfig
from perdure.thread_query import searched
from perdure.working_set import Citation, CompilerConfig, WorkingSet, with_preset

_REASON_CHARACTERS = 300


class CannotRecompile(Exception):
    """Nothing says how the turn is to be compiled."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A compilation to be made."""

    corpus: str
    query: str
    search_query: str | None
    config: CompilerConfig


def planned(
    message: Message,
    stored: WorkingSet | None,
    session: SessionConfig,
    change: Change | None,
    before: Sequence[Message],
) -> Plan:
    """How `message` is compiled under `change`, or without one as its manifest says.

    `before` are the messages before it, ascending, as far as a thread may need them.

    Raises:
        CannotRecompile: it was never compiled, or by settings that this program does not know.
    """
    manifest = stored.manifest if stored is not None else {}
    if change is None and not manifest:
        raise CannotRecompile(stored.degraded_reason if stored and stored.degraded_reason else "It has no manifest.")
    changed = change.retrieval if change is not None else {}
    corpus = (change.corpus if change is not None else None) or manifest.get("corpus") or session.corpus
    if corpus is None:
        raise CannotRecompile("The session names no corpus.")
    fields = manifest.get("config") or session.retrieval.model_dump(mode="json")
    version = manifest.get("corpus_version") if corpus == manifest.get("corpus") else None
    try:
        config = CompilerConfig.model_validate({**fields, "as_of": version or None, **with_preset(changed)})
    except ValidationError:
        raise CannotRecompile("Its manifest holds settings that this program does not know.") from None
    if version == 0 and "as_of" not in changed:  # nothing had been published yet
        config = config.model_copy(update={"token_budget": 0})
    text = text_of(message.content)
    if "query_from" in changed or not manifest:
        search_query = searched(config, text, message.parent_message_id, lambda: before)
    else:
        search_query = manifest.get("search_query")
    return Plan(corpus=corpus, query=text, search_query=search_query, config=config)


def gains(stored: WorkingSet | None, made: WorkingSet) -> bool:
    """Whether `made` cites a span that `stored` does not."""
    cited = {citation.span_id for citation in stored.citations} if stored is not None else set()
    return any(citation.span_id not in cited for citation in made.citations)


def compared(
    message: Message,
    stored: WorkingSet | None,
    made: WorkingSet,
    *,
    verify: bool,
    explain: dict[str, Any] | None = None,
) -> TurnComparison:
    """What compiling again gave. To `verify`, manifests are compared too, to say why the texts differ.

    Otherwise it is said of each span why it was gained or lost: by the explanation of `made`, and by `explain`, that of
    compiling `stored` once more as it was.
    """
    before = stored or made.model_copy(update={"text": "", "citations": [], "tokens_used": 0, "context_hash": ""})
    found = diff(before, made)
    old = {citation.span_id for citation in before.citations}
    new = {citation.span_id for citation in made.citations}
    same = found.identical and before.verified()
    if verify and not same and made.degraded and before.verified() and not before.degraded:
        return unknown(message, stored, f"It would be degraded now, so it was not compared: {made.degraded_reason}")
    reasons = [] if same else _reasons(stored, made, verify=verify)
    if not same and not verify and not (found.added or found.removed or found.reranked):
        reasons.append("The same spans, in another order or cut elsewhere.")
    explained = stored and stored.model_copy(update={"explain": explain})
    return TurnComparison(
        message_id=message.message_id,
        sequence_number=message.sequence_number,
        outcome="same" if same else "differs",
        reasons=[reason[:_REASON_CHARACTERS] for reason in reasons],
        before_hash=stored.context_hash if stored else None,
        after_hash=made.context_hash,
        tokens_before=before.tokens_used,
        tokens_after=made.tokens_used,
        spans_before=len(old),
        spans_after=len(new),
        kept=len(old & new),
        reranked=len(found.reranked),
        overlap=round(len(old & new) / len(old | new), 4) if old | new else 1.0,
        gained=_shown(found.added, None if verify else lambda span_id: why_gained(span_id, explained, made)),
        lost=_shown(found.removed, None if verify else lambda span_id: why_lost(span_id, before, made)),
    )


def unknown(message: Message, stored: WorkingSet | None, reason: str) -> TurnComparison:
    """A turn that cannot be compiled again."""
    return TurnComparison(
        message_id=message.message_id,
        sequence_number=message.sequence_number,
        outcome="unknown",
        reasons=[reason[:_REASON_CHARACTERS]],
        before_hash=stored.context_hash if stored else None,
        tokens_before=stored.tokens_used if stored else 0,
        spans_before=len(stored.citations) if stored else 0,
    )


def _reasons(stored: WorkingSet | None, made: WorkingSet, *, verify: bool) -> list[str]:
    reasons = []
    if stored is not None and not stored.verified():
        reasons.append("The stored text no longer has its hash.")
    if stored is not None and stored.degraded:
        reasons.append(f"It was degraded: {stored.degraded_reason}")
    if made.degraded:
        reasons.append(f"It is degraded now: {made.degraded_reason}")
    if verify and stored is not None:
        reasons += differences(stored.manifest, made.manifest)
        if not reasons:
            reasons.append("The manifests show no reason.")
    return reasons


def _shown(citations: Sequence[Citation], why: Callable[[str], str] | None) -> list[SpanRef]:
    return [
        SpanRef(
            path=c.path,
            start_line=c.start_line,
            end_line=c.end_line,
            rank=c.rank,
            reason=None if why is None else why(c.span_id),
        )
        for c in citations[:SHOWN_SPANS]
    ]
