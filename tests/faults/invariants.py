"""The invariants I1-I8 that hold after every fault, as questions to tables, journal and processes.

Each function yields what it found wrong, in words, so that a test shows all of it and a campaign counts it.

I1 every accepted execution ends; I2 its graph is the oracle's; I3 an activity has one checkpoint; I4 there are no more
calls than activities and faults explain; I5 nothing of an old epoch is written after a new one began; I6 signals are
numbered without gap, and each completed activity has its one; I7 attempts follow one another legally and the
execution's checkpoint counts them; I8 no process, run or session is left behind.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil

from beep_orchestration.extraction import Extractors
from tests.faults.installation import Installation
from tests.faults.oracle import canonical, expected_graph, without_reviews
from tests.waiting import wait_until


@dataclass(frozen=True)
class Repetition:
    """A call that began after the activity's checkpoint was committed.

    A process that had committed its attempt, was stopped, and goes on when its successor is done, makes one under an
    old epoch: nothing can keep it from that, and what it yields is refused. Any other is a broken promise.
    """

    execution_id: str
    activity: str
    is_of_old_epoch: bool


def assert_sound(installation: Installation, execution_ids: Sequence[str], *, faults: int) -> None:
    """All invariants for these executions, which have ended; `faults` is how many calls may have been lost."""
    wait_until_idle(installation)
    problems = [
        *unended(installation, execution_ids),
        *disagreements(installation, execution_ids),
        *double_checkpoints(installation, execution_ids),
        *unexplained_calls(installation, execution_ids, faults=faults),
        *writes_of_old_epochs(installation, execution_ids),
        *broken_signals(installation, execution_ids),
        *broken_histories(installation, execution_ids),
        *leftovers(installation),
    ]
    problems += [f"{found} was called again" for found in repetitions(installation, execution_ids)]
    assert not problems, "\n".join(problems)


def unended(installation: Installation, execution_ids: Sequence[str]) -> Iterator[str]:
    """I1."""
    statement = "SELECT id, status FROM knowledge_workflow_execution WHERE id = ANY(%s)"
    rows = {row[0]: row[1] for row in installation.postgres.ask(statement, list(execution_ids))}
    for execution_id in execution_ids:
        if rows.get(execution_id) not in ("completed", "failed", "cancelled"):
            yield f"{execution_id} is {rows.get(execution_id, 'lost')}"


def disagreements(
    installation: Installation, execution_ids: Sequence[str], extractors: Extractors | None = None
) -> Iterator[str]:
    """I2, for those that yield a graph."""
    statement = """
        SELECT id, input, output FROM knowledge_workflow_execution
        WHERE workflow_type = 'extraction' AND status = 'completed' AND id = ANY(%s)
    """
    for execution_id, raw, output in installation.postgres.ask(statement, list(execution_ids)):
        if canonical(without_reviews(output)) != expected_graph(raw, extractors):
            yield f"{execution_id} has another graph than the oracle"


def double_checkpoints(installation: Installation, execution_ids: Sequence[str]) -> Iterator[str]:
    """I3."""
    statement = """
        SELECT workflow_execution_id, activity_name, count(*) FROM knowledge_workflow_activity
        WHERE status = 'completed' AND workflow_execution_id = ANY(%s) GROUP BY 1, 2 HAVING count(*) > 1
    """
    for execution_id, name, count in installation.postgres.ask(statement, list(execution_ids)):
        yield f"{execution_id} has {count} checkpoints of {name}"


def unexplained_calls(installation: Installation, execution_ids: Sequence[str], *, faults: int) -> Iterator[str]:
    """I4."""
    begins = installation.journal.begins(execution_ids)
    calls = sum(len(entries) for entries in begins.values())
    if calls > len(begins) + faults:
        more = {key: len(entries) for key, entries in begins.items() if len(entries) > 1}
        yield f"{calls} calls of {len(begins)} activities with {faults} faults: {more}"
    statement = """
        SELECT workflow_execution_id, activity_name FROM knowledge_workflow_activity
        WHERE status = 'completed' AND workflow_execution_id = ANY(%s)
    """
    for execution_id, name in installation.postgres.ask(statement, list(execution_ids)):
        if (execution_id, name) not in begins:
            yield f"{execution_id} completed {name} without a call"


def repetitions(installation: Installation, execution_ids: Sequence[str]) -> Iterator[Repetition]:
    """Calls that began after the commit of the activity's checkpoint; journal and database share a clock."""
    statement = """
        SELECT workflow_execution_id, activity_name, epoch, extract(epoch FROM completed_at)::float8
        FROM knowledge_workflow_activity WHERE status = 'completed' AND workflow_execution_id = ANY(%s)
    """
    begins = installation.journal.begins(execution_ids)
    for execution_id, name, epoch, completed_at in installation.postgres.ask(statement, list(execution_ids)):
        for entry in begins.get((str(execution_id), str(name)), []):
            if entry.at > completed_at:
                yield Repetition(str(execution_id), str(name), entry.epoch < epoch)


def writes_of_old_epochs(installation: Installation, execution_ids: Sequence[str]) -> Iterator[str]:
    """I5."""
    statement = """
        SELECT old.workflow_execution_id, old.activity_name, old.epoch, new.epoch
        FROM knowledge_workflow_activity AS old JOIN knowledge_workflow_activity AS new USING (workflow_execution_id)
        WHERE old.epoch < new.epoch AND workflow_execution_id = ANY(%s)
        AND (old.started_at > new.started_at OR (old.status = 'completed' AND old.completed_at > new.started_at))
    """
    for execution_id, name, old, new in installation.postgres.ask(statement, list(execution_ids)):
        yield f"{execution_id} has {name} of epoch {old} written after epoch {new} began"


def broken_signals(installation: Installation, execution_ids: Sequence[str]) -> Iterator[str]:
    """I6, for the signals that executions write about themselves."""
    statement = """
        SELECT id, signal_sequence, ARRAY(
            SELECT sequence FROM knowledge_workflow_signal WHERE workflow_execution_id = execution.id ORDER BY sequence
        ), ARRAY(
            SELECT payload ->> 'activity' FROM knowledge_workflow_signal
            WHERE workflow_execution_id = execution.id AND signal_name = 'progress' AND payload -> 'activity' <> 'null'
        ), ARRAY(
            SELECT activity_name FROM knowledge_workflow_activity
            WHERE workflow_execution_id = execution.id AND status = 'completed'
        ) FROM knowledge_workflow_execution AS execution WHERE id = ANY(%s)
    """
    for execution_id, last, sequences, told, completed in installation.postgres.ask(statement, list(execution_ids)):
        if sequences != list(range(1, last + 1)):
            yield f"{execution_id} has signals {sequences} up to {last}"
        if Counter(told) != Counter(completed):
            yield f"{execution_id} told of {told} and completed {completed}"


def broken_histories(installation: Installation, execution_ids: Sequence[str]) -> Iterator[str]:
    """I7."""
    statement = """
        SELECT workflow_execution_id, activity_name, array_agg(attempt_number ORDER BY attempt_number),
            array_agg(status ORDER BY attempt_number),
            bool_or(started_at < previous_end) IS TRUE
        FROM (
            SELECT *, lag(completed_at) OVER (PARTITION BY workflow_execution_id, activity_name ORDER BY attempt_number)
                AS previous_end
            FROM knowledge_workflow_activity WHERE workflow_execution_id = ANY(%s)
        ) AS attempts GROUP BY 1, 2
    """
    for execution_id, name, numbers, states, overlap in installation.postgres.ask(statement, list(execution_ids)):
        expected = ["failed"] * (len(states) - 1)
        if numbers != list(range(1, len(expected) + 2)) or states[:-1] != expected or overlap:
            yield f"{execution_id} has attempts {numbers} {states} of {name}, overlapping: {overlap}"
        if states[-1] not in ("completed", "failed", "pending"):
            yield f"{execution_id} ended with {name} {states[-1]}"
    yield from _miscounted(installation, execution_ids)


def _miscounted(installation: Installation, execution_ids: Sequence[str]) -> Iterator[str]:
    statement = """
        SELECT e.id, stage.key, (stage.value ->> 'done')::int, (stage.value ->> 'attempts')::int,
            count(*) FILTER (WHERE a.status = 'completed'), count(*)
        FROM knowledge_workflow_execution AS e CROSS JOIN jsonb_each(e.checkpoint -> 'stages') AS stage
        JOIN knowledge_workflow_activity AS a ON a.workflow_execution_id = e.id AND a.activity_type = stage.key
        WHERE e.id = ANY(%s) GROUP BY 1, 2, 3, 4
    """
    for execution_id, stage, done, attempts, completed, rows in installation.postgres.ask(
        statement, list(execution_ids)
    ):
        if (done, attempts) != (completed, rows):
            yield f"{execution_id} counts {done} of {completed} and {attempts} of {rows} attempts of {stage}"


def wait_until_idle(installation: Installation, timeout: float = 45.0) -> None:
    """Wait until no worker is left; the tables may hear of a run's end later, with the next tick."""
    with naming(lambda: leftovers(installation)):
        wait_until(lambda: not leftovers(installation), timeout, "no worker or transaction is left")


def wait_until_quiet(installation: Installation, execution_ids: Sequence[str], timeout: float = 45.0) -> None:
    """Wait until Dagster and the tables agree that these executions' runs have ended, and their workers are gone."""
    with naming(lambda: open_runs(installation, execution_ids) + leftovers(installation)):
        wait_until(
            lambda: not open_runs(installation, execution_ids) and not leftovers(installation),
            timeout,
            "no run, worker or transaction is left",
        )


@contextmanager
def naming(found: Callable[[], list[str]]) -> Iterator[None]:
    """Who waits in vain is told what is still there."""
    try:
        yield
    except TimeoutError as error:
        raise TimeoutError(f"{error}: {found()}") from error


def open_runs(installation: Installation, execution_ids: Sequence[str]) -> list[str]:
    """The Dagster runs of these executions that the tables or Dagster hold open."""
    statement = """
        SELECT dagster_run_id FROM knowledge_workflow_run LEFT JOIN runs ON run_id = dagster_run_id
        WHERE workflow_execution_id = ANY(%s)
        AND (outcome IS NULL OR runs.status NOT IN ('SUCCESS', 'FAILURE', 'CANCELED'))
    """
    return [str(run) for (run,) in installation.postgres.ask(statement, list(execution_ids))]


def leftovers(installation: Installation) -> list[str]:
    """I8: workers, and sessions that hold a transaction open."""
    servers = installation.fork_servers()
    found = [f"worker {child.pid}, {_described(child)}" for server in servers for child in _workers(server)]
    statement = """
        SELECT pid, state, left(query, 80) FROM pg_stat_activity
        WHERE state LIKE 'idle in transaction%%' AND state_change < clock_timestamp() - interval '1 s'
    """
    return found + [f"session {row}" for row in installation.postgres.ask(statement)]


def _workers(server: psutil.Process) -> list[psutil.Process]:
    """Its children with sessions of their own; the one that waits for a run has the server's."""
    try:
        return [child for child in server.children() if _is_worker(child)]
    except psutil.NoSuchProcess:
        return []


def _is_worker(child: psutil.Process) -> bool:
    try:
        return child.status() != psutil.STATUS_ZOMBIE and os.getsid(child.pid) == child.pid
    except (psutil.NoSuchProcess, ProcessLookupError):
        return False


def _described(process: psutil.Process) -> str:
    """What the process is at, as far as the system tells."""
    with suppress(psutil.NoSuchProcess):
        threads = [f"{process.pid}/{thread.id}" for thread in process.threads()]
        return f"{process.status()} since {process.create_time():.0f}, threads {threads}"
    return "gone"
