"""The page of fault cases names every test of the fault suite, and a test for every case."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, page

CASES = {*range(1, 38), 39, *range(42, 48)}
ROWS = {int(cells[0]): cells for cells in page("faults").table_rows()}
_TEST = re.compile(r"`(tests/[^`]+\.py)::([^`]+)`")
_NAMED = {(path, name) for cells in ROWS.values() for path, name in _TEST.findall(cells[3])}


def test_every_case_has_a_row() -> None:
    assert set(ROWS) >= CASES


@pytest.mark.parametrize("case", sorted(ROWS))
def test_a_case_says_what_happens_and_names_its_test(case: int) -> None:
    _, fault, expected, tests = ROWS[case]
    assert fault
    assert expected
    assert _TEST.findall(tests)


def test_every_test_of_the_fault_suite_stands_with_its_case() -> None:
    found = {
        (str(path.relative_to(ROOT)), name, int(number))
        for path in (ROOT / "tests" / "faults").glob("test_*.py")
        for name, number in re.findall(r"^def (test_(\d+)\w*)", path.read_text(), re.MULTILINE)
    }
    assert {(path, name) for path, name, _ in found} <= _NAMED
    for path, name, number in found:
        assert f"{path}::{name}" in ROWS[number][3]


def test_named_tests_exist() -> None:
    for path, name in _NAMED:
        assert re.search(rf"def {name}\(", Path(ROOT / path).read_text()), name
