"""A program for the moment after the services' start; its argument is their workspace file.

It starts the fork servers of the workspace's code locations, so that the first run of each finds its own as all others
do. It ends when they are ready. With another launcher than ours there is nothing to start.
"""

import sys
from pathlib import Path

from dagster import DagsterInstance

from beep_orchestration.engine.dagster_internals import (
    DagsterLaunchFailedError,
    WorkspaceFileTarget,
    WorkspaceProcessContext,
)
from beep_orchestration.engine.launcher import PreloadedRunLauncher


def warm_up(instance: DagsterInstance, workspace: Path) -> list[str]:
    """Start the fork server of each code location, or replace it if its code has changed; what did not start, and why.

    A code location that does not load has no runs to wait for, and is left out.
    """
    launcher = instance.run_launcher
    if not isinstance(launcher, PreloadedRunLauncher):
        return []
    problems = []
    with WorkspaceProcessContext(instance, WorkspaceFileTarget([str(workspace)])) as context:
        for location in context.create_request_context().code_locations:
            origins = (location.get_repository_python_origin(name) for name in location.get_repository_names())
            try:
                for origin in filter(None, origins):
                    launcher.warm_up(origin)
            except DagsterLaunchFailedError as error:
                problems.append(f"{location.name}: {error}")
    return problems


def main() -> None:
    """Warm up the instance of DAGSTER_HOME."""
    with DagsterInstance.get() as instance:
        problems = warm_up(instance, Path(sys.argv[1]))
    if problems:
        sys.exit("\n".join(problems))
