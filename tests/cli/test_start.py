import json
import re
from pathlib import Path

import pytest

from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.persistence import Database
from tests.cli.conftest import TEXT, Beep
from tests.factories import ORGANIZATION

pytestmark = pytest.mark.usefixtures("configured")


def _inputs(database: Database) -> list[dict[str, object]]:
    with database.transaction() as tables:
        rows = tables.statuses.list_newest(ORGANIZATION, limit=100, status=None, workflow_type=None, before=None)
        return [tables.executions.load_input(row.execution.id) for row in rows]


def _file(folder: Path, name: str, data: bytes = TEXT.encode()) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def test_start_prints_the_id_and_says_that_the_launch_comes_later(
    beep: Beep, configured: Database, tmp_path: Path
) -> None:
    result = beep("start", _file(tmp_path, "notes.txt"), "--json")
    assert result.code == 0
    assert (set(result.json), result.json["is_new"]) == ({"execution_id", "is_new", "pauses"}, True)
    assert "will be launched later" in result.err
    assert "does not answer (Connection refused); start it with 'beep up'" in result.err
    with configured.transaction() as tables:
        assert tables.executions.load(WorkflowExecutionId(result.json["execution_id"]), ORGANIZATION)


def test_everything_that_is_given_reaches_the_input(beep: Beep, configured: Database, tmp_path: Path) -> None:
    ontology = b"@prefix : <http://x/> . @prefix owl: <http://www.w3.org/2002/07/owl#> . :Person a owl:Class ."
    arguments = ["--title", "Notes", "--source-uri", "https://example.org/n", "--document-id", "n1"]
    options = ["-o", "chunk_size=500", "--option", "chunk_overlap=50", "-o", "minimum_relation_confidence=0.7"]
    result = beep(
        "start", _file(tmp_path, "notes.txt"), *arguments, *options, "--ontology", _file(tmp_path, "o.ttl", ontology)
    )
    assert result.code == 0, result.err
    (document,) = _inputs(configured)
    assert (document["title"], document["document_id"], document["text"]) == ("Notes", "n1", TEXT)
    assert document["source_uri"] == "https://example.org/n"
    assert document["ontology"] == ontology.decode()
    options_stored = document["options"]
    assert isinstance(options_stored, dict)
    assert (options_stored["chunk_size"], options_stored["minimum_relation_confidence"]) == (500, 0.7)


def test_stdin_is_a_document(beep: Beep, configured: Database) -> None:
    assert beep("start", "-", stdin="\ufeffCafé in Paris".encode()).code == 0
    (document,) = _inputs(configured)
    assert (document["document_id"], document["text"]) == ("stdin", "Café in Paris")


def test_of_several_files_the_good_ones_are_started(beep: Beep, configured: Database, tmp_path: Path) -> None:
    files = [_file(tmp_path, "a.txt"), _file(tmp_path, "blank.txt", b" \n"), tmp_path / "absent", _file(tmp_path, "z")]
    result = beep("start", *files, "--json")
    assert result.code == 1
    assert len({json.loads(line)["execution_id"] for line in result.out.splitlines()}) == 2
    assert {document["document_id"] for document in _inputs(configured)} == {"a.txt", "z"}
    errors = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert [str(files[1]) in errors[0], str(files[2]) in errors[1], len(errors)] == [True, True, 2]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "blank"),
        ("\u200b\n\t".encode(), "blank"),
        (b"before\x00after", "NUL character (U+0000) at character 6"),
        (b"caf\xe9", "not valid UTF-8 at byte 3"),
        (b"\xff\xfea", "not valid UTF-16"),
        (b"\xed\xa0\x80", "not valid UTF-8 at byte 0"),
    ],
)
def test_a_file_that_is_no_document_is_refused_and_nothing_is_stored(
    beep: Beep, configured: Database, tmp_path: Path, data: bytes, words: str
) -> None:
    file = _file(tmp_path, "bad.txt", data)
    error = beep("start", file).error
    assert words in error
    assert str(file) in error
    assert _inputs(configured) == []


def test_more_text_than_the_limit_is_refused_without_being_read(
    beep: Beep, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment.setenv("BEEP_MAXIMUM_DOCUMENT_CHARACTERS", "1000")
    error = beep("start", _file(tmp_path, "long.txt", b"word " * 300)).error
    assert "limit is 1,000; split the document, or raise BEEP_MAXIMUM_DOCUMENT_CHARACTERS" in error
    assert "BEEP_MAXIMUM_DOCUMENT_CHARACTERS" in beep("start", "/dev/zero").error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "chunk_size=many"], "options.chunk_size"),
        (["-o", "chunk_size=1"], "options.chunk_size"),
        (["-o", "no_such=1"], "options.no_such"),
        (["--title", "a\x00b"], "title: holds a NUL"),
        (["--idempotency-key", " "], "idempotency_key"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(beep: Beep, tmp_path: Path, arguments: list[str], words: str) -> None:
    assert words in beep("start", _file(tmp_path, "notes.txt"), *arguments).error


def test_a_malformed_ontology_is_refused(beep: Beep, tmp_path: Path) -> None:
    ontology = _file(tmp_path, "o.ttl", b"this is not turtle")
    assert "ontology" in beep("start", _file(tmp_path, "notes.txt"), "--ontology", ontology).error
    assert "absent.ttl" in beep("start", _file(tmp_path, "notes.txt"), "--ontology", tmp_path / "absent.ttl").error


def test_a_key_used_again_gives_the_first_execution_or_a_conflict(beep: Beep, tmp_path: Path) -> None:
    file = _file(tmp_path, "notes.txt")
    first = beep("start", file, "--idempotency-key", "k", "--json").json
    assert beep("start", file, "--idempotency-key", "k", "--json").json == first | {"is_new": False}
    again = beep("start", file, "--idempotency-key", "k").out
    assert again == f"exists already {first['execution_id']}  {file}  running\n"
    assert "idempotency key 'k'" in beep("start", file, "--idempotency-key", "k", "--title", "other").error


def test_waiting_for_scripts_ends_with_how_it_ended(beep: Beep, configured: Database, tmp_path: Path) -> None:
    arguments = ["start", _file(tmp_path, "notes.txt"), "--idempotency-key", "k", "--json"]
    execution_id = WorkflowExecutionId(beep(*arguments).json["execution_id"])
    with configured.transaction() as tables:
        assert tables.executions.cancel(execution_id)
    result = beep(*arguments, "--wait")
    accepted, end = result.out.splitlines()
    assert json.loads(accepted) == {"execution_id": execution_id, "is_new": False, "pauses": []}
    assert end == beep("watch", execution_id, "--json").out.strip()
    assert json.loads(end)["status"] == "cancelled"
    assert f"error: execution {execution_id} was cancelled: " in result.error


@pytest.mark.parametrize("option", ["--title", "--source-uri", "--document-id", "--idempotency-key"])
def test_what_belongs_to_one_document_is_wrong_usage_for_two(beep: Beep, tmp_path: Path, option: str) -> None:
    result = beep("start", _file(tmp_path, "a"), _file(tmp_path, "b"), option, "x")
    assert (result.code, result.out) == (2, "")


def test_the_extractors_are_named_and_another_one_is_wrong_usage(beep: Beep, tmp_path: Path) -> None:
    result = beep("start", _file(tmp_path, "a"), "--extractor", "nope")
    assert (result.code, result.out) == (2, "")
    assert "<local|llm>" in beep("start", "--help").out


def test_an_option_without_a_value_is_wrong_usage(beep: Beep, tmp_path: Path) -> None:
    assert beep("start", _file(tmp_path, "a"), "-o", "chunk_size").code == 2


def test_what_is_started_while_all_are_paused_says_so(beep: Beep, configured: Database, tmp_path: Path) -> None:
    assert configured
    file = _file(tmp_path, "notes.txt")
    beep("pause", "--all", "--reason", "until noon")
    for word in ("started", "exists already"):
        started, paused = beep("start", file, "--idempotency-key", "k").out.splitlines()
        assert started.startswith(word)
        assert re.fullmatch(
            r"paused with its organization since .* \(until noon\); on with 'beep resume --all'", paused
        )
    beep("resume", "--all")
    assert "paused" not in beep("start", file, "--idempotency-key", "k").out
