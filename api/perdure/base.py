"""The two kinds of wire models, and how a request is read."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from perdure.errors import InvalidRequest, PerdureError


class Request(BaseModel):
    """What a caller sends: unknown fields are refused, so that a typing error is seen."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Result(BaseModel):
    """What a caller gets: unknown fields are ignored, so that a newer server may add some."""

    model_config = ConfigDict(frozen=True, extra="ignore")


R = TypeVar("R", bound=Request)
SHOWN_PROBLEMS = 10
"""Of a request's problems, those that its refusal lists."""


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
        raise _named(model, error) from None
    except UnicodeError as error:  # a lone surrogate inside a mapping
        raise InvalidRequest(f"{model.__name__}: not valid Unicode: {error}", errors=[]) from None


def _named(model: type[Request], error: ValidationError) -> PerdureError:
    problems = error.errors(include_url=False, include_input=False)
    for problem in problems:
        cause = problem.get("ctx", {}).get("error")
        if isinstance(cause, RefusedField):
            return cause.error
    problems = problems[:SHOWN_PROBLEMS]
    where = [".".join(map(str, p["loc"])) or "(body)" for p in problems]
    listed = [{"field": w, "problem": p["msg"]} for w, p in zip(where, problems, strict=True)]
    text = "; ".join(f"{p['field']}: {p['problem']}" for p in listed)
    return InvalidRequest(f"{model.__name__}: {text}", errors=listed)


class RefusedField(ValueError):
    """Carries a named error out of a pydantic validator, which lets only `ValueError` through."""

    def __init__(self, error: PerdureError) -> None:
        super().__init__(error.message)
        self.error = error
