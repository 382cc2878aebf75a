"""What the code location offers to Dagster."""

import dagster as dg

from beep_orchestration.jobs import extraction_job

defs = dg.Definitions(jobs=[extraction_job])
