"""What is installed from a wheel is complete."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "beep_orchestration"


def test_every_file_that_is_no_module_is_package_data() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["*"]
    packages = [path.parent for path in PACKAGE.rglob("__init__.py")]
    packed = {path for package in packages for pattern in patterns for path in package.glob(pattern)}
    others = {path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"}}
    assert others - packed == set()
