"""Rows of `knowledge_workflow_signal`."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, case, literal_column, select, true, update
from sqlalchemy.dialects.postgresql import insert

from beep_orchestration.errors import WorkflowNotFoundError
from beep_orchestration.ids import OrganizationId, WorkflowActivityId, WorkflowExecutionId, WorkflowSignalId
from beep_orchestration.models import PROGRESS_SIGNAL, RESERVED_SIGNALS, ExecutionStatus, Json
from beep_orchestration.persistence.executions import CLOCK
from beep_orchestration.persistence.notifications import SIGNAL_SENT, notification
from beep_orchestration.persistence.rows import SignalRow
from beep_orchestration.tables import execution, signal


@dataclass(frozen=True, kw_only=True)
class NewSignal:
    """A signal with the sequence number that was reserved for it on the locked execution row."""

    id: WorkflowSignalId
    workflow_execution_id: WorkflowExecutionId
    organization_id: OrganizationId
    signal_name: str
    payload: Json
    sequence: int
    sender_key: str | None = None
    trace_parent: str | None = None


# The progress of an execution is nobody's to consume; a constant, for the index's sake.
UNCONSUMED = (signal.c.consumed_by.is_(None), signal.c.signal_name != literal_column(f"'{PROGRESS_SIGNAL}'"))

_TOLD_COLUMNS = (
    *(column for column in signal.c if column.name != "payload"),
    case((signal.c.signal_name.in_(RESERVED_SIGNALS), signal.c.payload)).label("payload"),
)
_ROWS_AT_A_TIME = 500


class Signals:
    """Saves and loads signals within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def save(self, signals: Sequence[NewSignal]) -> None:
        """Store signals whose sequence numbers were reserved in this transaction."""
        if signals:
            self._connection.execute(insert(signal).values(created_at=CLOCK), [vars(new) for new in signals])

    def send(self, new: NewSignal) -> None:
        """As `save`, for a signal from outside: whoever waits for it is told when the transaction commits."""
        self.save([new])
        self._connection.execute(select(notification(SIGNAL_SENT, new.workflow_execution_id)))

    def find_sent(self, execution_id: WorkflowExecutionId, sender_key: str) -> SignalRow | None:
        """The signal that a sender stored under this key."""
        statement = _all(execution_id).where(signal.c.sender_key == sender_key)
        row = self._connection.execute(statement).one_or_none()
        return None if row is None else _signal_row(row)

    def load(
        self, execution_id: WorkflowExecutionId, *, after: int = 0, limit: int, name: str | None = None
    ) -> list[SignalRow]:
        """Signals with a greater sequence than `after`, in order."""
        statement = _all(execution_id).where(signal.c.sequence > after).order_by(signal.c.sequence).limit(limit)
        if name is not None:
            statement = statement.where(signal.c.signal_name == name)
        return [_signal_row(row) for row in self._connection.execute(statement)]

    def load_told(
        self, execution_id: WorkflowExecutionId, organization_id: OrganizationId, *, after: int, limit: int
    ) -> tuple[ExecutionStatus, list[SignalRow]]:
        """An execution's status and the signals after that sequence, in order, as they are at one moment.

        What was sent to it comes without its payload, which may be large. Raises `WorkflowNotFoundError`.
        """
        told = (
            select(*_TOLD_COLUMNS)
            .where(signal.c.workflow_execution_id == execution.c.id, signal.c.sequence > after)
            .order_by(signal.c.sequence)
            .limit(limit)
            .lateral("told")
        )
        statement = (
            select(execution.c.status, *told.c)
            .select_from(execution.outerjoin(told, true()))
            .where(execution.c.id == execution_id, execution.c.organization_id == organization_id)
            .order_by(told.c.sequence)
        )
        rows = self._connection.execute(statement).all()
        if not rows:
            raise WorkflowNotFoundError(execution_id)
        return ExecutionStatus(rows[0].status), [_signal_row(row) for row in rows if row.id is not None]

    def stream(self, execution_id: WorkflowExecutionId) -> Iterator[SignalRow]:
        """Every signal in order, however many there are, a few at a time."""
        statement = _all(execution_id).order_by(signal.c.sequence)
        for row in self._connection.execute(statement, execution_options={"yield_per": _ROWS_AT_A_TIME}):
            yield _signal_row(row)

    def load_named(self, execution_id: WorkflowExecutionId, names: Collection[str]) -> list[SignalRow]:
        """All signals of these names, in order."""
        statement = _all(execution_id).where(signal.c.signal_name.in_(names)).order_by(signal.c.sequence)
        return [_signal_row(row) for row in self._connection.execute(statement)]

    def load_unconsumed(
        self, execution_id: WorkflowExecutionId, names: Collection[str], *, after: int = 0, limit: int
    ) -> list[SignalRow]:
        """Signals of these names that no checkpoint has used yet, with a greater sequence than `after`, in order."""
        statement = (
            _all(execution_id)
            .where(signal.c.signal_name.in_(names), signal.c.sequence > after, *UNCONSUMED)
            .order_by(signal.c.sequence)
            .limit(limit)
        )
        return [_signal_row(row) for row in self._connection.execute(statement)]

    def consume(self, signals: Sequence[tuple[WorkflowSignalId, WorkflowActivityId]]) -> int:
        """Note which attempt's checkpoint each signal fed, once; how many changed is the answer."""
        if not signals:
            return 0
        statement = (
            update(signal)
            .where(signal.c.id == bindparam("signal_id"), signal.c.consumed_by.is_(None))
            .values(consumed_by=bindparam("attempt_id"))
        )
        rows = [{"signal_id": signal_id, "attempt_id": attempt_id} for signal_id, attempt_id in signals]
        return self._connection.execute(statement, rows).rowcount


def _all(execution_id: WorkflowExecutionId) -> Any:
    return select(signal).where(signal.c.workflow_execution_id == execution_id)


def _signal_row(row: Row[Any]) -> SignalRow:
    values = {name: row._mapping[name] for name in signal.c.keys()}  # noqa: SLF001, SIM118 - public names
    values["id"] = WorkflowSignalId(values["id"])
    values["workflow_execution_id"] = WorkflowExecutionId(values["workflow_execution_id"])
    values["organization_id"] = OrganizationId(values["organization_id"])
    values["consumed_by"] = None if values["consumed_by"] is None else WorkflowActivityId(values["consumed_by"])
    return SignalRow(**values)
