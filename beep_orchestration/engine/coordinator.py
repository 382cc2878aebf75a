"""Dagster's run queue without its tick: a run is launched when it is submitted, or when the run before it is done."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from filelock import FileLock

from beep_orchestration.engine.dagster_internals import (
    IN_PROGRESS_RUN_STATUSES,
    DagsterEvent,
    LaunchRunContext,
    QueuedRunCoordinator,
    SubmitRunContext,
)
from beep_orchestration.engine.launcher import PreloadedRunLauncher

_LOCK_SECONDS = 60

STEERING_TAG = "beep/steering"
"""Marks runs that steer others: one that cancels must not wait for what it is to cancel."""


class PromptRunCoordinator(QueuedRunCoordinator[DagsterInstance]):
    """Launches at once while fewer than `max_concurrent_runs` are in progress, else enqueues; steering runs always.

    The daemon's tick remains for what nobody was there to launch: after a worker was killed, while no fork server runs,
    and wherever limits by tag are set. Two launches of one run by two processes give one worker, see the launcher.
    """

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Called by Dagster for a run that was created; returns it as launched or as queued."""
        run = context.dagster_run
        if not self._is_prompt(run):
            return super().submit_run(context)
        with self._admission():
            is_its_turn = STEERING_TAG in run.tags or (self._has_room() and self._oldest_queued() is None)
            if run.status is DagsterRunStatus.NOT_STARTED and is_its_turn:
                return self._instance.launch_run(run.run_id, context.workspace)
        return super().submit_run(context)

    def launch_queued(self, *, ending: str | None = None) -> None:
        """Launch the oldest queued runs for which there is room; called by a worker when its run ends.

        A run that is `ending`, by its id, does not count any more: its work is done, and what is left of it are a few
        events. So there may be one run above the maximum, for that moment, and never two.
        """
        with self._admission():
            leaves = 0 if ending is None else self._count_in_progress(ending)
            while (run := self._oldest_queued()) is not None and self._has_room(leaves) and self._is_prompt(run):
                self._launch(run)

    def _launch(self, run: DagsterRun) -> None:
        started = DagsterEvent(event_type_value="PIPELINE_STARTING", job_name=run.job_name)
        self._instance.report_dagster_event(started, run_id=run.run_id)
        try:
            self._instance.run_launcher.launch_run(LaunchRunContext(dagster_run=run, workspace=None))
        except Exception as error:  # noqa: BLE001 - as the daemon does: it is the run's failure, not the caller's
            self._instance.report_run_failed(run, f"the run could not be launched: {error}")

    def _is_prompt(self, run: DagsterRun) -> bool:
        launcher = self._instance.run_launcher
        has_limits = bool(self.get_run_queue_config().tag_concurrency_limits)
        return isinstance(launcher, PreloadedRunLauncher) and not has_limits and launcher.is_ready(run)

    def _has_room(self, leaves: int = 0) -> bool:
        maximum = self.get_run_queue_config().max_concurrent_runs
        return maximum == -1 or self._count_in_progress() - leaves < maximum

    def _count_in_progress(self, *run_ids: str) -> int:
        """Of those runs, or of all."""
        return self._instance.get_runs_count(RunsFilter(run_ids=run_ids or None, statuses=IN_PROGRESS_RUN_STATUSES))

    def _oldest_queued(self) -> DagsterRun | None:
        queued = self._instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.QUEUED]), limit=1, ascending=True)
        return queued[0] if queued else None

    @contextmanager
    def _admission(self) -> Iterator[None]:
        """One admission at a time on this host, so that the limit holds and no run is taken twice."""
        with FileLock(Path(self._instance.root_directory) / "admission.lock", timeout=_LOCK_SECONDS):
            yield
