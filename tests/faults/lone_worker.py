"""A process that claims an execution and runs five activities, without Dagster.

python -m tests.faults.lone_worker URL EXECUTION_ID RUN FOLDER
"""

import sys
from functools import partial
from pathlib import Path
from typing import get_args

from beep_orchestration import faults
from beep_orchestration.faults import FaultPoint
from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.persistence import Database
from tests.durability.worker import journalled
from tests.durability.workflow import STAGE, running
from tests.faults.control import Control

COUNT = 5
LEASE_SECONDS = 2.0


def main(url: str, execution_id: str, run: str, folder: str) -> None:
    """Work until the execution is completed, or an armed fault comes in between."""
    control = Control(Path(folder))
    for point in get_args(FaultPoint):
        faults.inject(point, partial(_reached, control, point))
    database = Database(url)
    with running(database, WorkflowExecutionId(execution_id), run, lease_seconds=LEASE_SECONDS) as runner:
        runner.run(STAGE, journalled(Path(folder) / "journal", COUNT), concurrency=1)
        runner.complete({"by": run})


def _reached(control: Control, point: FaultPoint, subject: str) -> None:
    control.reached(point, subject, None, {})


if __name__ == "__main__":
    main(*sys.argv[1:])
