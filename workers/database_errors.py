"""What a command tells of an error of PostgreSQL: its words, and what to do, but no SQL."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from perdure.errors import PerdureError, Unavailable


def explained(error: DBAPIError) -> PerdureError:
    """The error by our name, in one line."""
    cause = (str(error.orig).strip().splitlines() or [type(error.orig).__name__])[0]
    match error:
        case OperationalError():
            return Unavailable(
                f"PostgreSQL does not answer: {cause}. Check PERDURE_DATABASE_URL, or start a local stack with "
                "`perdure dev`."
            )
        case ProgrammingError():
            return PerdureError(f"PostgreSQL has not the schema of this program: {cause}. Run `perdure migrate`.")
        case _:
            return PerdureError(
                f"PostgreSQL refused: {cause}. Run the command again as `perdure --debug ...` to see what it was asked."
            )
