"""What the plug-ins use of Dagster beside its public API is there, and takes what we pass."""

import inspect
from collections.abc import Callable

import pytest
from dagster import DagsterInstance, DagsterRun

from beep_orchestration.engine import dagster_internals as internals

PARAMETERS: list[tuple[Callable[..., object], list[str]]] = [
    (internals.execute_run_command_body, ["run_id", "instance", "write_stream_fn", "set_exit_code_on_failure"]),
    (internals.resume_run_command_body, ["run_id", "instance", "write_stream_fn", "set_exit_code_on_failure"]),
    (internals.create_execution_plan, ["job"]),
    (internals.recon_repository_from_origin, ["origin"]),
    (internals.get_env_var_dict, ["base_dir"]),
    (internals.capture_interrupts, []),
    (internals.serializable_error_info_from_exc_info, ["exc_info"]),
    (internals.serialize_value, ["val"]),
    (internals.deserialize_value, ["val", "as_type"]),
    (internals.CheckRunHealthResult, ["status", "msg", "run_worker_id"]),
    (internals.RunLauncher.launch_run, ["self", "context"]),
    (internals.RunLauncher.resume_run, ["self", "context"]),
    (internals.RunLauncher.terminate, ["self", "run_id"]),
    (internals.RunLauncher.check_run_worker_health, ["self", "run"]),
    (internals.RunLauncher.get_run_worker_debug_info, ["self", "run", "include_container_logs"]),
    (internals.ConfigurableClass.from_config_value, ["inst_data", "config_value"]),
    (DagsterInstance.from_ref, ["instance_ref"]),
    (DagsterInstance.report_run_failed, ["self", "dagster_run", "message"]),
    (DagsterInstance.report_run_canceled, ["self", "dagster_run", "message"]),
    (DagsterInstance.report_run_canceling, ["self", "run", "message"]),
    (DagsterInstance.report_engine_event, ["self", "message", "dagster_run"]),
    (DagsterInstance.add_run_tags, ["self", "run_id", "new_tags"]),
]


@pytest.mark.parametrize("name", internals.__all__)
def test_name_is_there(name: str) -> None:
    assert hasattr(internals, name)


@pytest.mark.parametrize(("function", "passed"), PARAMETERS, ids=lambda value: getattr(value, "__qualname__", ""))
def test_function_takes_what_is_passed_and_needs_no_more(function: Callable[..., object], passed: list[str]) -> None:
    parameters = inspect.signature(function).parameters
    needed = [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    ]
    assert set(passed) <= set(parameters)
    assert set(needed) <= set(passed)


def test_properties_that_the_launcher_reads_are_there() -> None:
    for name in ("root_directory", "run_monitoring_enabled", "get_ref", "dispose", "run_launcher"):
        assert hasattr(DagsterInstance, name)
    for name in ("job_code_origin", "is_finished", "tags", "status", "run_id"):
        assert hasattr(DagsterRun, name)
    assert {"executable_path", "code_pointer"} <= set(internals.RepositoryPythonOrigin._fields)
    assert {"RUNNING", "NOT_FOUND", "FAILED", "SUCCESS"} <= set(internals.WorkerStatus.__members__)
