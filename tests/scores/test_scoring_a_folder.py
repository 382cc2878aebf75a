"""Any folder in the benchmarks' formats is read and answered."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from beep_orchestration.extraction import local_extractors
from benchmarks.scores.answers import answer
from benchmarks.scores.data import Sentence, load_benchmarks, load_named_documents
from benchmarks.scores.triples import Triple

ROOT = Path(__file__).parents[2]
TURTLE = """
@prefix : <urn:lives#> . @prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
:Person a owl:Class ; rdfs:label "human" . :Date a owl:Class ; rdfs:label "date" .
:born a owl:ObjectProperty ; rdfs:label "born in" ; rdfs:domain :Person ; rdfs:range :Date .
"""
LIVES = {
    "concepts": [{"qid": "Q1", "label": "human"}, {"qid": "Q2", "label": "date"}],
    "relations": [{"pid": "P1", "label": "born in", "domain": "Q1", "range": "Q2"}],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tests = [{"id": "1", "sent": "Ada Lovelace was born in 1815.", "triples": [_triple("Ada Lovelace", "1815")]}]
    train = [
        _row("Alan Turing was born in 1912.", "Alan Turing", "1912", in_test=False),
        _row("Alan Turing was born in 1912.", "Turing", "1912", in_test=False),
        _row("Ada Lovelace was born in 1815.", "Ada Lovelace", "1815", in_test=True),
    ]
    names = [{"id": "1", "text": "Ada sang .", "entities": [{"type": "PER", "mentions": [{"start": 0, "end": 3}]}]}]
    (tmp_path / "lives_ontology.json").write_text(json.dumps(LIVES), encoding="utf-8")
    (tmp_path / "lives.ttl").write_text(TURTLE, encoding="utf-8")
    for name, rows in (("lives_test", tests), ("lives_train", train), ("redocred_two", names)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return tmp_path


def test_rows_of_one_sentence_are_one_example_and_those_of_the_test_are_left_out(folder: Path) -> None:
    (found,) = load_benchmarks(folder)
    assert [(example.text, len(example.triples)) for example in found.train] == [("Alan Turing was born in 1912.", 2)]
    assert found.test[0].triples == (Triple("Ada Lovelace", "born in", "01 January 1815"),)


def test_dates_are_answered_as_the_benchmark_writes_them() -> None:
    sentence = Sentence("1", "Ada Lovelace was born on 10 December 1815.", ())
    turtle = TURTLE.replace('rdfs:label "born in"', 'rdfs:label "born on"')
    found = answer(sentence, turtle, local_extractors())
    assert found.triples == (Triple("Ada Lovelace", "born on", "10 December 1815"),)
    assert found.admitted == 1


def test_names_are_read_by_their_spans(folder: Path) -> None:
    (found,) = load_named_documents(folder)
    assert found.entities[0].spans == {(0, 3)}


def _refusal(*arguments: str) -> str:
    command = [sys.executable, "-m", "benchmarks.scores", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    return done.stderr


def test_a_folder_without_data_is_refused_in_one_line(tmp_path: Path) -> None:
    assert "has neither" in _refusal(str(tmp_path))


def test_a_language_model_that_is_not_configured_is_refused_in_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BEEP_LLM_MODEL", raising=False)
    assert "set BEEP_LLM_MODEL" in _refusal(str(folder), "--extractor", "llm")


def test_a_language_model_without_its_key_is_refused_in_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEEP_LLM_MODEL", "openai:gpt-5-mini")
    for name in ("BEEP_LLM_API_KEY", "BEEP_LLM_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    refusal = _refusal(str(folder), "--extractor", "llm")
    assert "OPENAI_API_KEY" in refusal
    assert "Traceback" not in refusal


def _triple(subject: str, year: str) -> dict[str, str]:
    return {"sub": subject, "rel": "born in", "obj": f"01 January {year}"}


def _row(sentence: str, subject: str, year: str, *, in_test: bool) -> dict[str, object]:
    labels = {"sub_label": subject, "rel_label": "born in ", "obj_label": f"01 January {year}"}
    return {"sent": sentence, "in_test": in_test, **labels}
