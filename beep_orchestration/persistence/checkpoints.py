"""What nearly all commits of a run are made of, in one statement: attempts begin, attempts are completed."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, Connection, Integer, Text, bindparam, text

from beep_orchestration.ids import WorkflowActivityId, WorkflowExecutionId, WorkflowSignalId
from beep_orchestration.models import PROGRESS_SIGNAL, Checkpoint, Json
from beep_orchestration.persistence.activities import NewAttempt
from beep_orchestration.persistence.pauses import EVERYONE


class Checkpoints:
    """Writes what a run reached; one statement, and so a transaction by itself where none is open."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def write(
        self,
        execution_id: WorkflowExecutionId,
        epoch: int,
        *,
        current_activity: str | None,
        checkpoint: Checkpoint,
        begun: Sequence[NewAttempt],
        completed: Sequence[tuple[WorkflowActivityId, str]],
        progress: Sequence[Json],
    ) -> bool:
        """Store the checkpoint, new attempts as `running`, outputs (JSON text) of completed ones, progress signals.

        False, and no change at all, without the claim, if one of the completed attempts is not running, or if some
        begin while the execution is paused. What is written is what `Executions.advance`, `Activities.save`,
        `Activities.complete` and `Signals.save` would write one after the other.
        """
        values: dict[str, Any] = {
            "execution_id": execution_id,
            "epoch": epoch,
            "current_activity": current_activity,
            "checkpoint": checkpoint.model_dump_json(),
            "begun_ids": [attempt.id for attempt in begun],
            "names": [attempt.activity_name for attempt in begun],
            "types": [attempt.activity_type for attempt in begun],
            "numbers": [attempt.attempt_number for attempt in begun],
            "inputs": _array([json.dumps(attempt.input) for attempt in begun]),
            "digests": [attempt.input_digest for attempt in begun],
            "versions": [attempt.code_version for attempt in begun],
            "completed_ids": [attempt_id for attempt_id, _ in completed],
            "outputs": _array([output for _, output in completed]),
            "signal_ids": [WorkflowSignalId.new() for _ in progress],
            "payloads": json.dumps(progress),
        }
        return self._connection.execute(_WRITE, values).one().is_claimed is True


def _array(documents: Sequence[str]) -> str:
    """JSON texts as one, in which nothing is to be escaped: in an array of PostgreSQL's every quote would be."""
    return f"[{','.join(documents)}]"


_TEXTS = ("begun_ids", "names", "types", "digests", "versions", "completed_ids", "signal_ids")

_WRITE = text(
    f"""
    WITH given AS MATERIALIZED (
        SELECT CAST(:inputs AS jsonb) AS inputs, CAST(:outputs AS jsonb) AS outputs,
            CAST(:payloads AS jsonb) AS payloads
    ), claimed AS (
        UPDATE knowledge_workflow_execution AS execution
        SET current_activity = :current_activity,
            checkpoint = CAST(:checkpoint AS jsonb),
            signal_sequence = signal_sequence + cardinality(:signal_ids),
            updated_at = clock_timestamp(),
            launches = CASE WHEN cardinality(:completed_ids) = 0 THEN launches ELSE 0 END
        WHERE id = :execution_id AND epoch = :epoch AND status = 'running'
            AND cardinality(:completed_ids) = (
                SELECT count(*) FROM knowledge_workflow_activity WHERE id = ANY(:completed_ids) AND status = 'running'
            )
            AND (cardinality(:begun_ids) = 0 OR paused_at IS NULL AND NOT EXISTS (
                SELECT FROM knowledge_workflow_pause WHERE organization_id IN (execution.organization_id, '{EVERYONE}')
            ))
        RETURNING id, organization_id, epoch, signal_sequence - cardinality(:signal_ids) AS last_sequence
    ), begun AS (
        INSERT INTO knowledge_workflow_activity (
            id, workflow_execution_id, organization_id, activity_name, activity_type, status, attempt_number,
            input, input_digest, code_version, epoch, started_at
        )
        SELECT new.id, claimed.id, claimed.organization_id, name, type, 'running', number,
            inputs -> (place - 1)::int, digest, version, claimed.epoch, clock_timestamp()
        FROM claimed, given, unnest(:begun_ids, :names, :types, :numbers, :digests, :versions) WITH ORDINALITY
            AS new (id, name, type, number, digest, version, place)
    ), completed AS (
        UPDATE knowledge_workflow_activity AS activity
        SET status = 'completed', output = outputs -> (place - 1)::int, completed_at = clock_timestamp()
        FROM claimed, given, unnest(:completed_ids) WITH ORDINALITY AS new (id, place)
        WHERE activity.id = new.id AND activity.status = 'running'
    ), told AS (
        INSERT INTO knowledge_workflow_signal (
            id, workflow_execution_id, organization_id, signal_name, payload, created_at, sequence
        )
        SELECT new.id, claimed.id, claimed.organization_id, '{PROGRESS_SIGNAL}', payloads -> (place - 1)::int,
            clock_timestamp(), last_sequence + place
        FROM claimed, given, unnest(:signal_ids) WITH ORDINALITY AS new (id, place)
    )
    SELECT EXISTS (SELECT FROM claimed) AS is_claimed
    """  # noqa: S608 - constants
).bindparams(
    bindparam("numbers", type_=ARRAY(Integer)),
    *(bindparam(name, type_=ARRAY(Text)) for name in _TEXTS),
)
