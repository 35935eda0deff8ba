"""The kinds of wire models, and how a request is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from perdure.errors import InvalidRequest
from perdure.problems import place_of, printable, problem_of


class Frozen(BaseModel):
    """What passes from one program to another: nobody changes it on the way."""

    model_config = ConfigDict(frozen=True)


class Request(Frozen):
    """What a caller sends: unknown fields are refused, so that a typing error is seen."""

    model_config = ConfigDict(extra="forbid")


class Result(Frozen):
    """What a caller gets: unknown fields are ignored, so that a newer server may add some."""

    model_config = ConfigDict(extra="ignore")


def plain(value: Any) -> Any:
    """The fields that were given to a model, such as a `SessionConfig`; any other value as it is."""
    return value.model_dump(exclude_unset=True) if isinstance(value, BaseModel) else value


Overrides: TypeAlias = Annotated[dict[str, Any], BeforeValidator(plain)]
"""Fields of a model that are to replace others, or the model itself, of which those count that it was given."""
R = TypeVar("R", bound=Request)
M = TypeVar("M", bound=BaseModel)
SHOWN_PROBLEMS = 10
"""How many of a request's problems its refusal lists."""


def parse(model: type[R], data: bytes | str | dict[str, Any]) -> R:
    """Read a request from JSON or from a mapping.

    Raises:
        InvalidRequest: it is no JSON, or its shape is wrong; `details["errors"]` says where.
        PerdureError: a field's own check refused it, by its own name.
    """
    try:
        if isinstance(data, dict):
            return model.model_validate(data)
        return model.model_validate_json(data)
    except ValidationError as error:
        raise refused(model, error) from None
    except UnicodeError as error:  # a lone surrogate inside a mapping
        raise InvalidRequest(f"{model.__name__}: not valid Unicode: {error}") from None


def refused(model: type[BaseModel], error: ValidationError) -> InvalidRequest:
    """The refusal of a value for `model`, with what is wrong in our words."""
    problems = _listed(model, error)
    return InvalidRequest(f"{model.__name__}: {_sentence(problems)}", errors=problems)


def parse_field(model: type[M], data: Mapping[str, Any], name: str) -> M:
    """Read the settings that the field `name` of a request holds.

    Raises:
        InvalidRequest: as `parse`, in the same words wherever such a field stands.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problems = _listed(model, error, name)
    except UnicodeError as error:
        problems = [{"field": name, "problem": f"not valid Unicode: {printable(str(error))}"}]
    raise InvalidRequest(_sentence(problems), errors=problems)


def as_json(body: Request) -> dict[str, Any]:
    """The fields that were given, as they are sent.

    Raises:
        InvalidRequest: one of them holds what JSON has not.
    """
    try:
        return body.model_dump(mode="json", exclude_unset=True)
    except ValueError as error:
        raise InvalidRequest(
            f"{type(body).__name__} cannot be written as JSON: {printable(str(error))}. "
            "Send text, numbers, true, false, null, lists and objects."
        ) from None


def _listed(model: type[BaseModel], error: ValidationError, *name: str) -> list[dict[str, str]]:
    """The first problems, each with its field; `name` is where the whole of `model` stands."""
    found = error.errors(include_url=False)[:SHOWN_PROBLEMS]
    return [
        {
            "field": printable(".".join(map(str, (*name, *place_of(problem))))) or "(body)",
            "problem": problem_of(model, problem),
        }
        for problem in found
    ]


def _sentence(problems: list[dict[str, str]]) -> str:
    return "; ".join(f"{problem['field']}: {problem['problem']}" for problem in problems)


def whole(model: type[BaseModel], value: dict[str, Any], name: str) -> dict[str, Any]:
    """For a pydantic validator: `value` as it is, if `model` takes it.

    Raises:
        InvalidRequest: as `parse_field`; pydantic lets it through.
    """
    parse_field(model, value, name)
    return value
