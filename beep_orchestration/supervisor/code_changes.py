"""With `beep up --reload`: code that changes on disk is loaded again, as with the UI's button 'Reload'."""

import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from beep_orchestration.supervisor.readiness import reload_code_location

_PACKAGE = Path(__file__).parents[1]


def reload_at_changes(
    definitions: str,
    url: str,
    code_location: str,
    tell: Callable[[str, str | None], None],
    stopping: threading.Event,
) -> None:
    """Have the webserver load the code location again whenever a file beside its module, or of ours, has changed.

    Runs under way keep the code that they have. Code that does not load is shown in the UI until it is corrected; the
    services stay. `tell` is given the names of changed files, and what is wrong with the code, None if it is loaded.
    Returns once `stopping` is set.
    """
    from watchfiles import DefaultFilter, watch  # noqa: PLC0415 - only who works on the code needs it

    for changes in watch(*_folders(definitions), watch_filter=DefaultFilter(), stop_event=stopping):
        names = ", ".join(sorted({Path(path).name for _, path in changes})[:3])
        problem = reload_code_location(url, code_location)
        if stopping.is_set():
            return
        tell(names, problem)


def _folders(definitions: str) -> set[Path]:
    """The folder of the location's module, found without loading it, and this package."""
    spec = find_spec(definitions)
    return {_PACKAGE} if spec is None or spec.origin is None else {_PACKAGE, Path(spec.origin).parent}
