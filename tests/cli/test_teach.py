"""`beep teach`: examples are stored for the organization, checked before, and reach the inputs that name them."""

import json
from pathlib import Path

import pytest

from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.persistence import Database
from tests.cli.conftest import TEXT, Beep
from tests.extraction.films import ONTOLOGY, films
from tests.factories import ORGANIZATION, OTHER_ORGANIZATION

pytestmark = pytest.mark.usefixtures("configured")

LINES = [example.model_dump(mode="json") for example in films()]


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    return _written(tmp_path / "films.jsonl", "\n\n".join(map(json.dumps, LINES)))


@pytest.fixture
def ontology(tmp_path: Path) -> Path:
    return _written(tmp_path / "films.ttl", ONTOLOGY)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return _written(tmp_path / "notes.txt", TEXT)


def _written(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def _input_of(database: Database, execution_id: str) -> dict[str, object]:
    with database.transaction() as tables:
        return tables.executions.load_input(WorkflowExecutionId(execution_id))


def test_what_was_taught_is_in_the_input_that_names_it(
    beep: Beep, configured: Database, examples: Path, ontology: Path, notes: Path
) -> None:
    taught = beep("teach", examples, "--name", "films", "--ontology", ontology, "--json")
    assert taught.json == {"name": "films", "examples": len(LINES), "triples": 3 * len(LINES), "warnings": []}
    assert taught.err == ""
    started = beep("start", notes, "--examples", "films", "--ontology", ontology, "--json")
    assert started.code == 0, started.err
    assert _input_of(configured, started.json["execution_id"])["examples"] == LINES


def test_teaching_anew_changes_only_what_is_started_later(
    beep: Beep, configured: Database, examples: Path, ontology: Path, notes: Path
) -> None:
    given = ("--examples", "films", "--ontology", ontology, "--json")
    beep("teach", examples, "--name", "films", "--ontology", ontology)
    before = beep("start", notes, *given)
    fewer = _written(examples, json.dumps(LINES[0]))
    beep("teach", fewer, "--name", "films", "--ontology", ontology)
    after = beep("start", notes, *given)
    assert _input_of(configured, before.json["execution_id"])["examples"] == LINES
    assert _input_of(configured, after.json["execution_id"])["examples"] == LINES[:1]


def test_a_name_that_is_not_stored_is_refused_and_says_what_is(
    beep: Beep, examples: Path, ontology: Path, notes: Path
) -> None:
    beep("teach", examples, "--name", "films", "--ontology", ontology)
    result = beep("start", notes, "--examples", "music")
    assert result.code == 1
    assert "examples: no set is stored under 'music'" in result.err
    assert "stored are: films" in result.err


MAKER = {"subject": "Jaws", "relation": "film maker", "object": "Steven Spielberg"}


@pytest.mark.parametrize(
    ("lines", "warned"),
    [
        ([("Nothing is stated.", [])], ["no example has a triple"]),
        ([("It was well received.", [MAKER])], ["nothing can be learned about 'film maker'"]),
        ([("Jaws was well received.", [MAKER])], ["nothing can be learned about 'film maker'"]),
        ([("It was well received.", [MAKER]), ("Steven  Spielberg made JAWS.", [MAKER])], []),
        ([("Jaws is of 1975.", [{"subject": "Jaws", "relation": "publication date", "object": "20 June 1975"}])], []),
        ([("Jaws is an American film.", [MAKER | {"object": "United States of America"}])], []),
    ],
)
def test_examples_that_teach_nothing_are_warned_of(
    beep: Beep, examples: Path, ontology: Path, lines: list[tuple[str, list[dict[str, str]]]], warned: list[str]
) -> None:
    given = _written(examples, "\n".join(json.dumps({"text": text, "triples": told}) for text, told in lines))
    taught = beep("teach", given, "--name", "films", "--ontology", ontology, "--json")
    assert taught.code == 0
    assert len(taught.json["warnings"]) == len(warned) == len(taught.err.splitlines())
    for words, warning, line in zip(warned, taught.json["warnings"], taught.err.splitlines(), strict=True):
        assert words in warning
        assert line == f"warning: {warning}"


def test_other_organizations_have_sets_of_their_own(configured: Database) -> None:
    with configured.transaction() as tables:
        tables.example_sets.save(ORGANIZATION, "films", LINES)
        assert tables.example_sets.find(OTHER_ORGANIZATION, "films") is None
        assert tables.example_sets.list_names(OTHER_ORGANIZATION) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("not JSON", "line.2"),
        ('{"text": "Jaws", "triples": [{"subject": "Jaws", "relation": "film maker"}]}', "line.2.triples.0.object"),
        ('{"text": "", "triples": []}', "line.2.text"),
        (
            '{"text": "Jaws", "triples": [{"subject": "Jaws", "relation": "composer", "object": "Williams"}]}',
            "examples.1.triples.0.relation",
        ),
    ],
)
def test_a_faulty_line_is_named(beep: Beep, examples: Path, ontology: Path, line: str, said: str) -> None:
    faulty = _written(examples, json.dumps(LINES[0]) + "\n" + line)
    result = beep("teach", faulty, "--name", "films", "--ontology", ontology)
    assert result.code == 1
    assert said in result.err
    assert len(result.err.splitlines()) == 1


def test_of_a_faulty_file_nothing_is_stored(beep: Beep, configured: Database, examples: Path) -> None:
    faulty = _written(examples, json.dumps(LINES[0] | {"triples": []}) + "\n{}")
    assert beep("teach", faulty, "--name", "films").code == 1
    with configured.transaction() as tables:
        assert tables.example_sets.list_names(ORGANIZATION) == []


def test_a_file_without_examples_is_refused(beep: Beep, examples: Path) -> None:
    result = beep("teach", _written(examples, "\n"), "--name", "films")
    assert result.code == 1
    assert "there is none" in result.err
