"""Our code location, with extractors that do nothing for documents that do not ask for better: see `documents`."""

import dagster as dg

from beep_orchestration.extraction import Extractors
from beep_orchestration.extractor_choice import choose_extractors
from beep_orchestration.jobs import STEERING_JOBS, WORKFLOW_JOBS, WORKFLOW_RESOURCES
from beep_orchestration.resources import ExecutionSession
from beep_orchestration.sensors import SENSORS
from benchmarks.documents import PROSE
from benchmarks.extractors import idle_extractors


def choose(session: ExecutionSession) -> Extractors:
    """The input's extractors for prose; else what is left is the workflow."""
    return choose_extractors(session) if session.input.document_id.startswith(PROSE) else idle_extractors()


defs = dg.Definitions(
    jobs=[*WORKFLOW_JOBS, *STEERING_JOBS],
    sensors=SENSORS,
    resources={**WORKFLOW_RESOURCES, "choose_extractors": choose},
)
