"""How the services' programs are started: as their scripts would start them, with less work."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from beep_orchestration.errors import ConfigurationError
from beep_orchestration.supervisor import program
from beep_orchestration.supervisor.home import function, script

PRINTING = (
    "import gc, sys\n\ndef main():\n    print(sys.argv[1:], gc.isenabled(), gc.get_freeze_count() > 0)\n    return 3\n"
)


def _run(command: list[str], folder: Path, installed: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(installed or folder)}
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


def test_a_module_that_raises_tells_so_and_fails(tmp_path: Path) -> None:
    (tmp_path / "raising.py").write_text("raise RuntimeError('not today')\n")
    run = _run([*function("raising:main")], tmp_path)
    assert (run.returncode, run.stdout) == (1, "")
    assert "raising.py" in run.stderr
    assert run.stderr.endswith("RuntimeError: not today\n")


def test_nothing_is_imported_from_the_working_folder_or_from_beside_the_program(tmp_path: Path) -> None:
    installed, working = tmp_path / "installed", tmp_path / "working"
    installed.mkdir()
    working.mkdir()
    (installed / "listing.py").write_text("import json, sys\n\ndef main():\n    print(json.dumps(sys.path))\n")
    (working / "json.py").write_text("raise RuntimeError('from the working folder')\n")
    run = _run([*function("listing:main")], working, installed)
    assert (run.returncode, run.stderr) == (0, "")
    assert not {"", ".", str(working), str(Path(program.__file__).parent)} & set(json.loads(run.stdout))


def test_a_program_that_is_not_installed_is_named() -> None:
    with pytest.raises(ConfigurationError, match=f"no dagster-nothing beside {sys.executable}; install"):
        script("dagster-nothing")
