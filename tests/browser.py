"""A real headless Chromium: import `browser` into a conftest or a test module, and mark its tests `browser`."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

BINARIES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1400,900",
)  # fmt: skip


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """One browser for the session with a profile of its own; skips where the machine has no Chromium."""
    binary = next(filter(None, map(shutil.which, BINARIES)), None)
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("needs chromium and chromedriver: apt-get install chromium chromium-driver")
    chrome = Chrome(options=_options(binary, tmp_path_factory.mktemp("chromium")), service=ChromeService(driver))
    try:
        yield chrome
    finally:
        chrome.quit()


def _options(binary: str, profile: Path) -> ChromeOptions:
    options = ChromeOptions()
    options.binary_location = binary
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return options


def console(browser: Chrome) -> list[dict[str, Any]]:
    """What the page wrote to the console, refused resources and scripts included, since the last call."""
    return list(browser.get_log("browser"))  # type: ignore[no-untyped-call]
