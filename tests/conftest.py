"""What all tests share, and how processes that run them side by side divide them."""

import gc

import pytest

gc.disable()  # while all that the tests import is made, which is no garbage

pytest_plugins = ["tests.postgres", "tests.services", "tests.tracing"]

SESSION_SERVICES = ("shared_installation", "services")
"""Fixtures that start a whole installation, which costs processor time as long as it is there."""

LONG_FOLDERS = ("tests/engine/", "tests/llm/")
"""What is in them waits for processes and for deadlines."""


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in its own
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep a file in one process, and the tests of session-wide services; alone, a process takes tests as they come.

    The longest come first, so that the processes end together: those of the shared installation, then what else starts
    services or waits. What computes fills the gaps, and what is left at the end.
    """
    if not hasattr(config, "workerinput"):
        return
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items.sort(key=_turn)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to go on if xdist does not know the groups: it would start every installation in every process.

    What is loaded by now stays: no collection need look at it again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)  # a test makes little garbage beside what it keeps
    gc.enable()
    if getattr(session.config.option, "loadgroup", False):
        strays = [item.nodeid for item in session.items if not item.nodeid.endswith(f"@{_group(item)}")]
        if strays:
            raise pytest.UsageError(f"this pytest-xdist does not keep groups together, for example {strays[0]}")


def _group(item: pytest.Item) -> str:
    return _session_services(item) or item.nodeid.partition("::")[0]


def _session_services(item: pytest.Item) -> str | None:
    module = getattr(item, "module", None)
    names = getattr(item, "fixturenames", ())
    return next((name for name in SESSION_SERVICES if name in names and not hasattr(module, name)), None)


def _turn(item: pytest.Item) -> int:
    match _session_services(item):
        case "shared_installation":
            return 0
        case "services":
            return 1
        case _:
            is_long = item.get_closest_marker("integration") or item.nodeid.startswith(LONG_FOLDERS)
            return 2 if is_long else 3
