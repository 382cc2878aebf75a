"""How the services' programs are started: as their scripts would start them, with less work."""

import subprocess
import sys
from pathlib import Path

import pytest

from beep_orchestration.errors import ConfigurationError
from beep_orchestration.supervisor.home import function, script

PRINTING = (
    "import gc, sys\n\ndef main():\n    print(sys.argv[1:], gc.isenabled(), gc.get_freeze_count() > 0)\n    return 3\n"
)


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(folder)}
    return subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True, check=False, timeout=60)


def test_a_script_is_run_under_its_name() -> None:
    shown = _run([*script("beep"), "status", "--nope"], Path.cwd())
    assert shown.returncode == 2
    assert "Usage: beep status" in shown.stderr


def test_a_function_has_the_arguments_and_gives_the_exit_code_and_what_is_loaded_is_not_collected(
    tmp_path: Path,
) -> None:
    (tmp_path / "printing.py").write_text(PRINTING)
    run = _run([*function("printing:main"), "one", "--two"], tmp_path)
    assert (run.returncode, run.stdout, run.stderr) == (3, "['one', '--two'] True True\n", "")


def test_a_program_that_is_not_installed_is_named() -> None:
    with pytest.raises(ConfigurationError, match=f"no dagster-nothing beside {sys.executable}; install"):
        script("dagster-nothing")
