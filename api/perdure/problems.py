"""What is wrong with a field, as a person would say it."""

from __future__ import annotations

import json
from datetime import timedelta
from difflib import get_close_matches
from itertools import islice
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

PARTS = "(parts)"
"""Tag of a content that is no string, a step that pydantic tells on the way to what is wrong; no field is named so."""
_QUOTED_CHARACTERS = 60
_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    timedelta: "a duration in seconds or as ISO 8601",
}
_SAYINGS = {
    "missing": "missing",
    "string_type": "takes text, not {got}",
    "string_too_short": "takes text of at least {min_length} characters",
    "string_too_long": "takes text of at most {max_length} characters",
    "list_type": "takes a list, not {got}",
    "too_short": "has {actual_length} items; the least is {min_length}",
    "too_long": "has {actual_length} items; the limit is {max_length}",
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "takes an object, not {got}"),
    "union_tag_not_found": "has no {discriminator}",
    "union_tag_invalid": "takes one of {expected_tags} as its {discriminator}, not '{tag}'",
}
"""By pydantic's type of an error, what is said where the kinds of a field do not tell more."""


def problem_of(model: type[BaseModel], details: ErrorDetails, *, null: bool = True) -> str:
    """What pydantic found wrong with a value for `model`: what the field takes and what it got, or the known fields.

    Where neither tells that, it is said in the words of whoever refused it. Without `null`, none is offered: not
    everything can hold one.
    """
    cause = details.get("ctx", {}).get("error")
    if isinstance(cause, Exception):
        return str(cause).removesuffix(".")
    *above, name = details["loc"] or ("",)
    if name == PARTS:
        return f"takes text or a list of parts, not {_quoted(details['input'])}"
    if saying := _SAYINGS.get(details["type"]):
        return printable(saying.format(got=_quoted(details["input"]), **details.get("ctx", {})))
    owner = _model_at(model, above)
    if owner is None:
        return details["msg"]
    if details["type"] == "extra_forbidden":
        return _unknown(str(name), owner)
    field = owner.model_fields.get(str(name))
    takes = None if field is None else _takes(field, null=null)
    return details["msg"] if takes is None else f"takes {takes}, not {_quoted(details['input'])}"


def place_of(details: ErrorDetails) -> list[int | str]:
    """Where a caller finds the field: without the names that pydantic gives to a list of parts, and to a part by its
    type."""
    place: list[int | str] = []
    steps = iter(details["loc"])
    for step in steps:
        if step != PARTS:
            place.append(step)
            continue
        place += [*islice(steps, 1)]  # which part; its type comes next
        next(steps, None)
    return place


def printable(text: str) -> str:
    """The text with escapes for what UTF-8, and so no message, can hold."""
    return text.encode("utf-8", "backslashreplace").decode()


def _unknown(name: str, owner: type[BaseModel]) -> str:
    known = sorted([*owner.model_fields, *getattr(owner, "shorthands", ())])
    near = get_close_matches(name.lower(), known, n=1)
    meant = f"unknown; did you mean {near[0]}?" if near else "unknown."
    return f"{meant} There are {', '.join(known)}"


def _model_at(model: type[BaseModel], place: list[int | str]) -> type[BaseModel] | None:
    """The model of which `place`, in a value for `model`, holds the fields; none when it is not certain."""
    found: type[BaseModel] | None = model
    for step in place:
        if isinstance(step, int):  # in a list: its items have the model that was found for it
            continue
        field = found.model_fields.get(step) if found is not None else None
        found = None if field is None else _model_in(field.annotation)
    return found


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for inner in get_args(annotation) if (model := _model_in(inner))), None)


def _takes(field: FieldInfo, *, null: bool) -> str | None:
    """What the field takes: `a whole number from 1 to 9 or null`; none if its type does not tell."""
    choices = get_args(field.annotation) if get_origin(field.annotation) in (Union, UnionType) else (field.annotation,)
    kinds = [_kind(choice) for choice in choices if choice is not NoneType]
    if not kinds or None in kinds:
        return None
    return " or ".join(map(str, kinds)) + _bounds(field) + (" or null" if null and NoneType in choices else "")


def _kind(annotation: Any) -> str | None:
    if get_origin(annotation) is Literal:
        return f"one of {', '.join(map(str, get_args(annotation)))}"
    return _KINDS.get(annotation) if isinstance(annotation, type) else None


_WORDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def _bounds(field: FieldInfo) -> str:
    rules = ((name, getattr(rule, name, None)) for rule in field.metadata for name in _WORDS)
    held = {name: _number(bound) for name, bound in rules if bound is not None}
    if {"ge", "le"} <= held.keys():
        return f" from {held['ge']} to {held['le']}"
    words = " and ".join(f"{_WORDS[name]} {bound}" for name, bound in held.items())
    return f", {words}" if words else ""


def _quoted(value: Any) -> str:
    try:
        text = printable(json.dumps(value, default=_number, ensure_ascii=False))
    except (TypeError, ValueError, RecursionError):  # it holds itself, or a number too long to be written, say
        return f"a {type(value).__name__} that cannot be written as JSON"
    return text if len(text) <= _QUOTED_CHARACTERS else text[: _QUOTED_CHARACTERS - 1] + "…"


def _number(value: Any) -> int | float | str:
    """The number, or the seconds, without a fraction that is zero; else the text of what has no JSON."""
    number = value.total_seconds() if isinstance(value, timedelta) else value
    if not isinstance(number, int | float):
        return str(number)
    return int(number) if number == int(number) else number
