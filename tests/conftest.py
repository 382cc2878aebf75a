"""What all tests share, and how processes that run them side by side divide them."""

import pytest

pytest_plugins = ["tests.postgres", "tests.services", "tests.tracing"]

SESSION_SERVICES = ("shared_installation", "services")
"""Fixtures that start a whole installation for as long as the session lasts: one process has all of their tests."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep a file in one process, begin with what takes longest; alone, a process takes the tests as they come."""
    if not hasattr(config, "workerinput"):
        return
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items.sort(key=_turn)


def _group(item: pytest.Item) -> str:
    used = [name for name in SESSION_SERVICES if name in getattr(item, "fixturenames", ())]
    return used[0] if used else item.nodeid.partition("::")[0]


def _turn(item: pytest.Item) -> int:
    if _group(item) in SESSION_SERVICES:
        return SESSION_SERVICES.index(_group(item))
    return len(SESSION_SERVICES) + (item.get_closest_marker("integration") is None)
