"""The command that prints what happened to an execution."""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, assert_never

import typer

from beep_orchestration.cli.invocation import AsJson, ExecutionId, connected, print_json, print_text
from beep_orchestration.events import (
    AttemptDue,
    AttemptEnded,
    AttemptStarted,
    HistoryEntry,
    Progress,
    RunEnded,
    RunLaunched,
    SignalSent,
    StateChanged,
)
from beep_orchestration.models import ErrorInfo


class HistoryFormat(StrEnum):
    """How a history is printed."""

    TABLE = "table"
    JSONL = "jsonl"


def history(
    ctx: typer.Context,
    execution_id: ExecutionId,
    *,
    history_format: Annotated[
        HistoryFormat | None,
        typer.Option(
            "--format",
            "-f",
            help="A table to read, which is the default, or one JSON object per line.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print every attempt, signal, run and change of state of an execution, in order.

    beep history ID

    beep history ID --format jsonl | jq -c 'select(.kind == "attempt_ended" and .status == "failed")'

    With --json the format is jsonl: a history may be longer than the memory that reads it.
    """
    if as_json and history_format is HistoryFormat.TABLE:
        raise typer.BadParameter("a table is no JSON: give --json or --format table", param_hint="--format")
    show: Callable[[HistoryEntry], None] = _show_row
    if as_json or history_format is HistoryFormat.JSONL:
        show = print_json
    with connected(ctx) as service:
        for entry in service.history(execution_id):
            show(entry)


def _show_row(entry: HistoryEntry) -> None:
    subject, what = _columns(entry)
    print_text(f"{entry.at:%Y-%m-%d %H:%M:%S.%f %Z}  {subject:<10}  {what}")


def _columns(entry: HistoryEntry) -> tuple[str, str]:
    match entry:
        case Progress(activity_name=name):
            return "progress", f"{entry.activity_type} {entry.done}/{entry.total}{f' by {name}' if name else ''}"
        case StateChanged():
            return "state", f"{entry.change}{_details(entry)}"
        case SignalSent(consumed_by=consumer):
            return "signal", f"{entry.signal_name}{f' used by {consumer}' if consumer else ''}"
        case AttemptDue() | AttemptStarted() | AttemptEnded():
            return "attempt", f"{entry.activity_name} #{entry.attempt} {_of_attempt(entry)}"
        case RunLaunched() | RunEnded():
            return "run", f"{entry.dagster_run_id} {'launched' if entry.kind == 'run_launched' else entry.outcome}"
        case _:
            assert_never(entry)


def _of_attempt(entry: AttemptDue | AttemptStarted | AttemptEnded) -> str:
    match entry:
        case AttemptDue():
            return "is due"
        case AttemptStarted():
            return "started"
        case AttemptEnded():
            return f"{entry.status}{_reason(entry.error)}"


def _details(change: StateChanged) -> str:
    if change.child is not None:
        ended = f": {change.child_status}" if change.child_status else ""
        return f" {change.child_name or ''}".rstrip() + f" {change.child}{ended}"
    run = f" by run {change.dagster_run_id}" if change.dagster_run_id else ""
    if change.worker is not None and change.worker > 1:
        run += f", which goes on in another worker, its number {change.worker}"
    signals = ", ".join(name for wait in change.waiting_for for name in wait.signals)
    why = "" if change.reason is None else f": {change.reason}"
    return f"{run}{f' for {signals}' if signals else ''}{why}{_reason(change.error)}"


def _reason(error: ErrorInfo | None) -> str:
    return "" if error is None else f": {error.type}: {error.message}"
