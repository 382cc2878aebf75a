"""The one place that names what Dagster does not promise to keep: all that the plug-ins use beside its public API.

`tests/engine/test_dagster_internals.py` checks for each name that it exists and takes the arguments that we pass, so
that an upgrade of Dagster fails there and not in a run.
"""

from dagster._cli.api import _execute_run_command_body as execute_run_command_body
from dagster._cli.api import _resume_run_command_body as resume_run_command_body
from dagster._core.errors import DagsterLaunchFailedError
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, DagsterEvent
from dagster._core.execution.api import create_execution_plan
from dagster._core.instance.ref import InstanceRef
from dagster._core.launcher.base import (
    CheckRunHealthResult,
    LaunchRunContext,
    ResumeRunContext,
    RunLauncher,
    WorkerStatus,
)
from dagster._core.origin import RepositoryPythonOrigin
from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext
from dagster._core.secrets.env_file import get_env_var_dict
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.compute_log_manager import CapturedLogContext, ComputeIOType
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.local_compute_log_manager import IO_TYPE_EXTENSION, LocalComputeLogManager
from dagster._core.storage.runs.schema import RunsTable
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._serdes import ConfigurableClass, ConfigurableClassData, deserialize_value, serialize_value
from dagster._utils.error import serializable_error_info_from_exc_info
from dagster._utils.hosted_user_process import recon_repository_from_origin
from dagster._utils.interrupts import capture_interrupts
from dagster_postgres.utils import DagsterPostgresException
from dagster_shared.error import SerializableErrorInfo

__all__ = [
    "ASSET_CHECK_EVENTS",
    "ASSET_EVENTS",
    "IN_PROGRESS_RUN_STATUSES",
    "IO_TYPE_EXTENSION",
    "CapturedLogContext",
    "CheckRunHealthResult",
    "ComputeIOType",
    "ConfigurableClass",
    "ConfigurableClassData",
    "DagsterEvent",
    "DagsterLaunchFailedError",
    "DagsterPostgresException",
    "DagsterStorage",
    "InstanceRef",
    "LaunchRunContext",
    "LocalComputeLogManager",
    "QueuedRunCoordinator",
    "RepositoryPythonOrigin",
    "ResumeRunContext",
    "RunLauncher",
    "RunsTable",
    "SerializableErrorInfo",
    "SqlEventLogStorageTable",
    "SubmitRunContext",
    "WorkerStatus",
    "WorkspaceFileTarget",
    "WorkspaceProcessContext",
    "capture_interrupts",
    "create_execution_plan",
    "deserialize_value",
    "execute_run_command_body",
    "get_env_var_dict",
    "recon_repository_from_origin",
    "resume_run_command_body",
    "serializable_error_info_from_exc_info",
    "serialize_value",
]
