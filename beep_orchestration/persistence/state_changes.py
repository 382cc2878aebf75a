"""Changes of an execution's state are told by a signal, in the statement that makes the change.

So who follows the signals of an execution learns of every change, once and in order, and of none that was not made.
"""

from collections.abc import Mapping
from itertools import chain
from typing import Any

from sqlalchemy import ColumnElement, Insert, Select, Update, func, insert, literal, select
from sqlalchemy.dialects.postgresql import JSONB

from beep_orchestration.ids import WorkflowSignalId
from beep_orchestration.models import STATE_SIGNAL, Json, StateChange
from beep_orchestration.persistence.notifications import EXECUTION_ENDED, notification
from beep_orchestration.tables import execution, signal

NEXT_SEQUENCE = execution.c.signal_sequence + 1


def told(
    statement: Insert | Update,
    change: StateChange,
    details: Json | None = None,
    *,
    from_row: Mapping[str, ColumnElement[Any]] | None = None,
) -> Select[Any]:
    """A statement that changes one execution's row and stores the signal that tells so; the row's epoch is its answer.

    `statement` sets `signal_sequence` to the number of that signal: `NEXT_SEQUENCE`, and 1 in a new row. No row, and no
    signal, if it changes none. The signal's payload has the change, the epoch, the details, and from the changed row
    what `from_row` names. An end is notified of.
    """
    seen = {"epoch": execution.c.epoch, **(from_row or {})}
    changed = statement.returning(
        execution.c.id,
        execution.c.organization_id,
        execution.c.epoch,
        execution.c.signal_sequence,
        execution.c.updated_at,
        func.jsonb_build_object(*chain.from_iterable(seen.items())).label("seen"),
    ).cte("changed")
    payload = literal({"change": change, **(details or {})}, JSONB)
    row = {
        signal.c.id: literal(WorkflowSignalId.new()),
        signal.c.workflow_execution_id: changed.c.id,
        signal.c.organization_id: changed.c.organization_id,
        signal.c.signal_name: literal(STATE_SIGNAL),
        signal.c.payload: payload.op("||")(changed.c.seen),
        signal.c.created_at: changed.c.updated_at,
        signal.c.sequence: changed.c.signal_sequence,
    }
    telling = insert(signal).from_select(list(row), select(*row.values())).cte("telling")
    news = [notification(EXECUTION_ENDED, changed.c.id)] if change.status.is_terminal else []
    return select(changed.c.epoch, *news).add_cte(telling)
