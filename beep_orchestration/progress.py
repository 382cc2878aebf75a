"""Executions under way as people and scripts see them: one line or one row of bars each, until they have ended."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from beep_orchestration.models import ExecutionStatus, StageProgress, WorkflowStatus
from beep_orchestration.workflow_types import get_workflow_type

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from beep_orchestration.service import WorkflowService

_POLL_SECONDS = 0.25
_LONGEST_NAME = 40
_COLOURS = {
    ExecutionStatus.RUNNING: "cyan",
    ExecutionStatus.COMPLETED: "green",
    ExecutionStatus.FAILED: "red",
    ExecutionStatus.CANCELLED: "yellow",
}


def changes(service: "WorkflowService", execution_ids: Iterable[str]) -> Iterator[WorkflowStatus]:
    """Each execution's status now and whenever it has changed, until all have ended. Raises `WorkflowNotFoundError`."""
    last: dict[str, WorkflowStatus | None] = dict.fromkeys(execution_ids)
    while open_ids := [execution_id for execution_id, seen in last.items() if not _has_ended(seen)]:
        for execution_id in open_ids:
            status = service.get_status(execution_id)
            if status != last[execution_id]:
                last[execution_id] = status
                yield status
        if not all(map(_has_ended, last.values())):
            time.sleep(_POLL_SECONDS)


def follow(service: "WorkflowService", names: Mapping[str, str], console: "Console") -> dict[str, WorkflowStatus]:
    """Show the named executions until all have ended; how they ended. At a terminal bars move, elsewhere lines follow."""
    statuses: dict[str, WorkflowStatus] = {}
    if not console.is_terminal:
        for status in changes(service, names):
            for line in new_lines(names[status.execution_id], statuses.get(status.execution_id), status):
                console.print(line, soft_wrap=True, markup=False, highlight=False)
            statuses[status.execution_id] = status
        return statuses

    from rich.live import Live  # noqa: PLC0415 - only people at a terminal need it

    with Live(console=console, refresh_per_second=8, vertical_overflow="visible") as live:
        for status in changes(service, names):
            statuses[status.execution_id] = status
            live.update(bars(names, statuses))
    return statuses


def new_lines(name: str, before: WorkflowStatus | None, now: WorkflowStatus) -> list[str]:
    """What there is to say of a change: the activity types that got done, and the end."""
    done_before = set() if before is None else set(_done(before))
    lines = [f"{name}: {kind} {_count(now.activities[kind])}" for kind in _done(now) if kind not in done_before]
    if now.status.is_terminal:
        lines.append(f"{name}: {_state(now)}{_seconds(now)}{_reason(now)}")
    elif before is not None and now.dagster_run_ids != before.dagster_run_ids and before.dagster_run_ids:
        lines.append(f"{name}: goes on in another run")
    return lines


def bars(names: Mapping[str, str], statuses: Mapping[str, WorkflowStatus]) -> "RenderableType":
    """A row for each execution with a bar for each of its activity types; the reason below, where one failed."""
    from rich.console import Group  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    reasons = [
        Text(f"{names[status.execution_id]}{_reason(status)}", style="red")
        for status in statuses.values()
        if status.error is not None
    ]
    return Group(_table(names, statuses), *reasons)


def _table(names: Mapping[str, str], statuses: Mapping[str, WorkflowStatus]) -> "Table":
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    kinds = _activity_types(statuses.values())
    table = Table(box=None, pad_edge=False, expand=True)
    table.add_column("", max_width=_LONGEST_NAME, no_wrap=True, overflow="ellipsis")
    for kind in kinds:
        table.add_column(kind, ratio=1, no_wrap=True, header_style="dim")
    table.add_column("", width=len("completed in 99.9 s"), no_wrap=True, overflow="ellipsis")
    for execution_id, name in names.items():
        status = statuses.get(execution_id)
        if status is not None:
            cells = [_cell(status.activities.get(kind)) for kind in kinds]
            table.add_row(
                Text(name), *cells, Text(f"{_state(status)}{_seconds(status)}", style=_COLOURS[status.status])
            )
    return table


def _cell(stage: StageProgress | None) -> "RenderableType":
    from rich.progress_bar import ProgressBar  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(ratio=1, min_width=3)
    grid.add_column(justify="right", no_wrap=True)
    if stage is None:
        grid.add_row(ProgressBar(total=1, completed=0), "")
    else:
        grid.add_row(ProgressBar(total=max(stage.total, 1), completed=stage.done), _count(stage))
    return grid


def _activity_types(statuses: Iterable[WorkflowStatus]) -> Sequence[str]:
    kinds: dict[str, None] = {}
    for status in statuses:
        kinds |= dict.fromkeys(stage.name for stage in get_workflow_type(status.workflow_type).activity_types)
    return list(kinds)


def _done(status: WorkflowStatus) -> list[str]:
    return [kind for kind, stage in status.activities.items() if stage.done == stage.total]


def _has_ended(status: WorkflowStatus | None) -> bool:
    return status is not None and status.status.is_terminal


def _count(stage: StageProgress) -> str:
    return f"{stage.done}/{stage.total}"


def _state(status: WorkflowStatus) -> str:
    waits = status.status is ExecutionStatus.RUNNING and not status.activities
    return "waits for a run" if waits else str(status.status)


def _seconds(status: WorkflowStatus) -> str:
    if status.completed_at is None:
        return ""
    return f" in {(status.completed_at - status.started_at).total_seconds():.1f} s"


def _reason(status: WorkflowStatus) -> str:
    return "" if status.error is None else f": {status.error.type}: {status.error.message}"
