"""Our code location with extractors that do nothing: what is left is the workflow."""

import dagster as dg

from beep_orchestration.jobs import STEERING_JOBS, WORKFLOW_JOBS, WORKFLOW_RESOURCES
from beep_orchestration.sensors import SENSORS
from benchmarks.extractors import idle_extractors

defs = dg.Definitions(
    jobs=[*WORKFLOW_JOBS, *STEERING_JOBS],
    sensors=SENSORS,
    resources={**WORKFLOW_RESOURCES, "choose_extractors": lambda _: idle_extractors()},
)
