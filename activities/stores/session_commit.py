"""The one statement that stores a commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import CTE, Select, Table, bindparam, column, exists, func, insert, select, update
from sqlalchemy.dialects.postgresql import JSON

from activities.commit import Commit
from activities.stores.session_rows import event_row, is_session, message_row, working_set_row
from activities.stores.tables import events, messages, sessions, working_sets
from perdure.events import Event, MessageAdded
from perdure.working_set import WorkingSet


@cache
def commit_statement(*changed: str) -> Select[int]:
    """Move the session's row on and, if that succeeded, insert what hangs on it; one round trip. Answers 0 or 1.

    It succeeds when the run is the session's owner and knows all of its events.
    """
    moved = (
        update(sessions)
        .where(
            is_session(sessions, bindparam("in_tenant"), bindparam("in_session")),
            sessions.c.event_sequence == bindparam("base_sequence"),
            sessions.c.owner == bindparam("by_owner"),
        )
        .values({name: bindparam(f"after_{name}", type_=sessions.c[name].type) for name in changed})
        .returning(sessions.c.session_id)
        .cte("moved")
    )
    inserted = [_insert_rows(table, moved) for table in (events, messages, working_sets)]
    return select(func.count()).select_from(moved).add_cte(*inserted)


def _insert_rows(table: Table, moved: CTE) -> CTE:
    """Insert the rows that the parameter of the table's name holds as JSON, if the session moved."""
    columns = [column(c.name, c.type) for c in table.c]
    rows = func.json_to_recordset(bindparam(f"new_{table.name}", type_=JSON)).table_valued(*columns)
    chosen = select(*rows.render_derived(with_types=True).c).where(exists(select(moved)))
    return insert(table).from_select([c.name for c in table.c], chosen).cte(f"inserted_{table.name}")


def commit_rows(request: Commit, completed: Sequence[Event], compiled: Mapping[str, WorkingSet]) -> dict[str, Any]:
    """The parameters of `commit_statement`."""
    tenant, session_id = request.tenant, request.session_id
    added = [event.data.message for event in completed if isinstance(event.data, MessageAdded)]
    return {
        "in_tenant": tenant,
        "in_session": session_id,
        "base_sequence": request.base_sequence,
        "by_owner": request.owner.run_id,
        **{f"after_{name}": value for name, value in request.changed.items()},
        "new_events": [event_row(tenant, session_id, event) for event in completed],
        "new_messages": [message_row(tenant, message) for message in added],
        "new_working_sets": [working_set_row(tenant, session_id, *item) for item in compiled.items()],
    }
