"""What the code location offers to Dagster."""

import dagster as dg

from beep_orchestration.jobs import STEERING_JOBS, WORKFLOW_JOBS, WORKFLOW_RESOURCES
from beep_orchestration.sensors import SENSORS

defs = dg.Definitions(jobs=[*WORKFLOW_JOBS, *STEERING_JOBS], sensors=SENSORS, resources=WORKFLOW_RESOURCES)
