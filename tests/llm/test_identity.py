"""What an LLM extractor's checkpoints are bound to covers all sources that shape its questions and answers."""

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import beep_orchestration.extraction
from beep_orchestration.extraction.llm.identity import _OTHERS, _digest_of_sources

PACKAGE = "beep_orchestration.extraction"
SOURCES = Path(beep_orchestration.extraction.__file__).parent
SHAPES_OF_DATA = {"model.py", "protocols.py"}
"""A change of these that changes an answer changes what is stored as well."""


def imported(source: Path) -> Iterator[str]:
    """The files of the package of extraction that a source imports from."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{PACKAGE}."):
            yield (node.module or "").removeprefix(f"{PACKAGE}.").replace(".", "/") + ".py"


def test_all_that_the_extractors_call_is_covered() -> None:
    called = {name for source in (SOURCES / "llm").glob("*.py") for name in imported(source)}
    of_others = {name for name in called if not name.startswith("llm/")}
    assert "examples.py" in of_others
    assert of_others - SHAPES_OF_DATA <= set(_OTHERS)


@pytest.mark.parametrize(
    "changed",
    [
        "llm/prompts.py",
        "builtin.ttl",
        "chunking.py",
        "demonyms.py",
        "examples.py",
        "local/entities.py",
        "local/type_words.py",
        "markup.py",
        "names.py",
        "ontology.py",
        "prose.py",
    ],
)
def test_a_change_of_a_source_changes_the_identity(changed: str, tmp_path: Path) -> None:
    copy = shutil.copytree(SOURCES, tmp_path / "extraction")
    before = _digest_of_sources(copy)
    with (copy / changed).open("a", encoding="utf-8") as source:
        source.write("# changed\n")
    assert _digest_of_sources(copy) != before
