"""The extraction job as the code location offers it: with its resources."""

import dagster as dg

from beep_orchestration.definitions import defs
from beep_orchestration.workflow_types import EXTRACTION


def extraction_job() -> dg.JobDefinition:
    return defs.resolve_job_def(EXTRACTION.job_name)
