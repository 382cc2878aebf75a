"""The only SQL of the project.

`Database` opens transactions; within one, `WorkflowPersistence` saves and loads executions, activities, signals and
runs. Nothing here commits by itself, so whoever opens the transaction decides what becomes visible together.
"""

from beep_orchestration.persistence.database import Database, WorkflowPersistence, process_database
from beep_orchestration.persistence.rows import ActivityRow, AttemptRow, ExecutionRow, RunRow, SignalRow

__all__ = [
    "ActivityRow",
    "AttemptRow",
    "Database",
    "ExecutionRow",
    "RunRow",
    "SignalRow",
    "WorkflowPersistence",
    "process_database",
]
