"""A worker process that kills itself at a named fault point: what it leaves behind is what a crash leaves behind."""

import os
import signal
from functools import partial
from pathlib import Path

from beep_orchestration import faults
from beep_orchestration.activities import Activity
from beep_orchestration.faults import FaultPoint
from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.persistence import Database
from tests.durability.workflow import AT_ONCE, STAGE, Number, running
from tests.processes import started


def journalled(journal: Path, count: int) -> list[Activity[int]]:
    """Activities whose calls are lines of a file, which outlives the process that makes them."""
    return [
        Activity(
            name=f"{STAGE}-{number}",
            input=Number(number=number),
            call=partial(_note, journal, number),
            output_type=int,
            code_version="1",
            retry=AT_ONCE,
        )
        for number in range(count)
    ]


def calls(journal: Path, number: int) -> int:
    """How often that activity was called, by any process."""
    return journal.read_text().split().count(str(number)) if journal.exists() else 0


def run_and_die(
    url: str, execution_id: WorkflowExecutionId, journal: Path, count: int, at: tuple[FaultPoint, str]
) -> None:
    """Run in a process of its own, which is killed when it reaches a fault point for that subject."""
    process = started(_work, url, execution_id, journal, count, at)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL, f"the fault was not reached: exit code {process.exitcode}"


def _work(url: str, execution_id: WorkflowExecutionId, journal: Path, count: int, at: tuple[FaultPoint, str]) -> None:
    point, subject = at
    faults.inject(point, lambda reached: _die() if reached == subject else None)
    with running(Database(url), execution_id, "run-dead") as runner:
        runner.run(STAGE, journalled(journal, count), concurrency=1)
        runner.complete({"by": "run-dead"})


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _note(journal: Path, number: int) -> int:
    with journal.open("a") as file:
        file.write(f"{number}\n")
    return number
