"""How a run ends early while its execution waits, so that waiting holds no process and no slot."""

from beep_orchestration.claims import Claim
from beep_orchestration.models import RESUME_SIGNAL, ExecutionStatus, RunOutcome, Wait
from beep_orchestration.persistence import WorkflowPersistence


class Parked(BaseException):
    """The op can go no further now; another run goes on from here when what is waited for has come."""

    def __init__(self, wait: Wait) -> None:
        self.wait = wait
        super().__init__(wait.describe())


def park(tables: WorkflowPersistence, claim: Claim, waits: tuple[Wait, ...]) -> bool:
    """Give the claim up and let the execution wait without a run; false, and no change, if the claim is lost.

    In one transaction under the lock that a sender of signals, and a child that ends, takes too: a signal that is there
    already, a deadline that has passed or a child that has ended makes the execution due at once, and one that comes
    later finds it parked. So no wake-up is lost. One that waits for the end of a pause is due too: the pause holds it
    back, its own or its organization's, for as long as there is one.
    """
    execution = tables.executions.load(claim.execution.id, lock=True)
    if claim.epoch is None or claim.epoch != execution.epoch or execution.status is not ExecutionStatus.RUNNING:
        return False
    names = {name for wait in waits for name in wait.signals}
    deadlines = [wait.deadline for wait in waits if wait.deadline is not None]
    children = [wait.child for wait in waits if wait.child is not None]
    is_due = (
        RESUME_SIGNAL in names
        or bool(names and tables.signals.load_unconsumed(execution.id, names, limit=1))
        or any(tables.executions.load(child).status.is_terminal for child in children)
    )
    wake_at = tables.executions.load_clock() if is_due else min(deadlines, default=None)
    checkpoint = execution.checkpoint.model_copy(update={"waiting_for": waits})
    tables.executions.park(execution.id, claim.epoch, wake_at=wake_at, checkpoint=checkpoint)
    tables.runs.end(claim.dagster_run_id, RunOutcome.PARKED, epoch=claim.epoch)
    return True
