"""What a session that was started or updated lacks of what was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perdure.cli.connection import has_corpus
from perdure.cli.output import progress
from perdure.session import Session, SessionConfig


def warn_of_other_fields(
    found: Session, *, user: str | None, title: str | None, corpus: str | None, metadata: object, config: Any
) -> None:
    """Name the options of a start that say otherwise than the session, which was there before."""
    asked = {
        "--user": (user, found.user_id),
        "--title": (title, found.title),
        "--corpus": (corpus, found.config.corpus),
        "--metadata": (metadata, found.metadata),
    }
    other = [option for option, (value, kept) in asked.items() if value is not None and value != kept]
    fields = {name: value for name, value in (config or {}).items() if name != "corpus" or corpus is None}
    if not _holds(found.config.model_dump(), SessionConfig.model_validate(fields).model_dump(exclude_unset=True)):
        other.append("--config")
    if other:
        progress(
            f"Warning: session {found.session_id} was there already and stays as it is, without {', '.join(other)}. "
            f"`perdure session update {found.session_id}` changes it."
        )


def warn_without_corpus(found: Session) -> None:
    """Tell that working sets will be empty."""
    if (named := found.config.corpus) and not has_corpus(named):
        progress(
            f"Warning: there is no corpus {named}. Working sets are empty, and say that they are degraded, until "
            f"`perdure corpus ingest FOLDER --name {named}` makes it."
        )


def _holds(whole: Mapping[str, Any], part: Mapping[str, Any]) -> bool:
    return all(
        _holds(whole[name], value) if isinstance(value, Mapping) else whole[name] == value
        for name, value in part.items()
    )
