"""The examples run, and the README shows them as they are."""

import py_compile
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, README, ROOT, Page

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def test_the_readme_shows_the_example_as_it_is() -> None:
    assert README.blocks("python") == [(ROOT / "examples" / "service.py").read_text(encoding="utf-8")]


def test_the_example_is_as_short_as_it_looks() -> None:
    assert len((ROOT / "examples" / "service.py").read_text(encoding="utf-8").splitlines()) <= 15


@pytest.mark.parametrize("each", PAGES, ids=str)
def test_every_python_block_compiles(each: Page) -> None:
    for block in each.blocks("python"):
        compile(block, str(each), "exec")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_compiles(path: Path, tmp_path: Path) -> None:
    py_compile.compile(str(path), cfile=str(tmp_path / "compiled"), doraise=True)
