"""Executions under way as people see them: a row of bars for each, or lines where nothing can move."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from queue import SimpleQueue
from typing import TYPE_CHECKING

from beep_orchestration.extraction.exports.characters import visible
from beep_orchestration.models import ExecutionStatus, StageProgress, WorkflowStatus
from beep_orchestration.workflow_types import get_workflow_type

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from beep_orchestration.service import WorkflowService

_WIDE = 110
"""From this many columns on there is room for a bar beside each count, and for durations."""
_NARROW_STATE, _WIDE_STATE = len("cancelled"), len("completed in 999.9 s")
_BAR_AND_COUNT = len("━━━━━ 66/66")
_COUNT = len("666/666")
_SHORTEST_NAME = 12
_GAP = 2
_NOT_BEGUN = StageProgress(done=0, total=0)
_COLOURS = {
    ExecutionStatus.RUNNING: "cyan",
    ExecutionStatus.COMPLETED: "green",
    ExecutionStatus.FAILED: "red",
    ExecutionStatus.CANCELLED: "yellow",
}


def changes(service: "WorkflowService", execution_ids: Iterable[str]) -> Iterator[WorkflowStatus]:
    """Each execution's status now and whenever it has changed, until all have ended. Raises `WorkflowNotFoundError`."""
    news: SimpleQueue[WorkflowStatus | Exception] = SimpleQueue()
    last: dict[str, WorkflowStatus | None] = dict.fromkeys(execution_ids)
    for execution_id in last:
        # daemons: who is interrupted does not wait for the executions to end
        threading.Thread(target=_report, args=(service, execution_id, news.put), daemon=True).start()
    while not all(map(_has_ended, last.values())):
        status = news.get()
        if isinstance(status, Exception):
            raise status
        if status != last[status.execution_id]:
            last[status.execution_id] = status
            yield status


def _report(
    service: "WorkflowService", execution_id: str, report: Callable[[WorkflowStatus | Exception], None]
) -> None:
    cursor = 0
    try:
        while True:
            for event in service.watch(execution_id, after=cursor):
                cursor = event.sequence
                report(service.get_status(execution_id))
            status = service.get_status(execution_id)
            report(status)
            if status.status.is_terminal:
                return
    except Exception as error:  # noqa: BLE001 - raised again by whoever asked
        report(error)


def follow(service: "WorkflowService", names: Mapping[str, str], console: "Console") -> dict[str, WorkflowStatus]:
    """Show the named executions until all have ended; how they ended.

    At a terminal bars move; elsewhere a line is added for each activity type that is done and for each end.
    """
    shown = {execution_id: visible(name) for execution_id, name in names.items()}
    return _follow_live(service, shown, console) if console.is_terminal else _follow_lines(service, shown, console)


def _follow_live(service: "WorkflowService", names: Mapping[str, str], console: "Console") -> dict[str, WorkflowStatus]:
    from rich.live import Live  # noqa: PLC0415 - only people at a terminal need it

    statuses: dict[str, WorkflowStatus] = {}
    with Live(console=console, refresh_per_second=8) as live:
        for status in changes(service, names):
            statuses[status.execution_id] = status
            live.update(bars(names, statuses, width=console.width))
    return statuses


def _follow_lines(
    service: "WorkflowService", names: Mapping[str, str], console: "Console"
) -> dict[str, WorkflowStatus]:
    statuses: dict[str, WorkflowStatus] = {}
    for status in changes(service, names):
        for line in new_lines(names[status.execution_id], statuses.get(status.execution_id), status):
            console.print(line, soft_wrap=True, markup=False, highlight=False)
        statuses[status.execution_id] = status
    return statuses


def new_lines(name: str, before: WorkflowStatus | None, now: WorkflowStatus) -> list[str]:
    """What there is to say of a change: the activity types that got done, another run, the end."""
    done_before = set() if before is None else set(_done(before))
    lines = [f"{name}: {kind} {_count(now.activities[kind])}" for kind in _done(now) if kind not in done_before]
    if now.status.is_terminal:
        lines.append(f"{name}: {_state(now)}{_seconds(now)}{_reason(now)}")
    elif before is not None and before.dagster_run_ids not in {(), now.dagster_run_ids}:
        lines.append(f"{name}: goes on in another run")
    return lines


def bars(names: Mapping[str, str], statuses: Mapping[str, WorkflowStatus], *, width: int) -> "RenderableType":
    """A row for each execution with the progress of each of its activity types; below it why one failed."""
    from rich.console import Group  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    failed = [status for status in statuses.values() if status.error is not None]
    reasons = [Text(f"{names[status.execution_id]}{_reason(status)}", style="red") for status in failed]
    return Group(_table(names, statuses, width=width), *reasons)


def _table(names: Mapping[str, str], statuses: Mapping[str, WorkflowStatus], *, width: int) -> "Table":
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    is_wide = width >= _WIDE
    kinds = {kind: _BAR_AND_COUNT if is_wide else max(len(kind), _COUNT) for kind in _activity_types(statuses.values())}
    state_width = _WIDE_STATE if is_wide else _NARROW_STATE
    room = width - sum(kinds.values()) - state_width - _GAP * (len(kinds) + 1)
    longest = max(map(len, names.values()), default=0)
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
    table.add_column("", width=max(min(longest, room), _SHORTEST_NAME), no_wrap=True, overflow="ellipsis")
    for kind, kind_width in kinds.items():
        table.add_column(kind, width=kind_width, no_wrap=True, header_style="dim")
    table.add_column("", width=state_width, no_wrap=True)
    for execution_id, name in names.items():
        if (status := statuses.get(execution_id)) is not None:
            cells = [_cell(status.activities.get(kind, _NOT_BEGUN), is_wide=is_wide) for kind in kinds]
            state = f"{_state(status)}{_seconds(status) if is_wide else ''}"
            table.add_row(Text(name), *cells, Text(state, style=_COLOURS[status.status]))
    return table


def _cell(stage: StageProgress, *, is_wide: bool) -> "RenderableType":
    from rich.progress_bar import ProgressBar  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    is_done = stage.done == stage.total
    count = Text("" if stage is _NOT_BEGUN else _count(stage), style="green" if is_done else "cyan")
    if not is_wide:
        return count
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(ratio=1)
    grid.add_column(no_wrap=True)
    grid.add_row(ProgressBar(total=max(stage.total, 1), completed=stage.done), count)
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
    if status.pauses:
        return "paused"
    waits = status.status is ExecutionStatus.RUNNING and not status.activities
    return "accepted" if waits else str(status.status)


def _seconds(status: WorkflowStatus) -> str:
    if status.completed_at is None:
        return ""
    return f" in {(status.completed_at - status.started_at).total_seconds():.1f} s"


def _reason(status: WorkflowStatus) -> str:
    return "" if status.error is None else visible(f": {status.error.type}: {status.error.message}")
