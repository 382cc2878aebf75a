"""What the page says of teaching is so: its files are those of the examples, and the graph has what it promises."""

import json
import shlex
from pathlib import Path

import pytest

from beep_orchestration.extraction import extract, parse_extraction_input
from beep_orchestration.extraction.model import Graph
from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.persistence import Database
from tests.cli.conftest import Beep, beep, configured, environment
from tests.docs.pages import ROOT, Section, page

__all__ = ["beep", "configured", "environment"]

TEACHING: Section = page("operating").section("Teaching")
FOLDER = ROOT / "examples" / "teaching"


def _block(language: str) -> str:
    _, found, rest = TEACHING.text.partition(f"```{language}\n")
    assert found
    return rest.partition("```")[0]


def _facts(graph: Graph) -> set[str]:
    names = {entity.id: entity.name for entity in graph.entities}
    return {f"{names[each.subject]} —{each.predicate}→ {names[each.object]}" for each in graph.relations}


def test_the_ontology_and_the_example_are_shown_as_they_are() -> None:
    assert _block("turtle") == (FOLDER / "films.ttl").read_text(encoding="utf-8")
    assert _block("json") in (FOLDER / "films.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)


def test_the_commands_as_they_are_shown_lead_to_the_graph_that_is_promised(
    beep: Beep, configured: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    teach, start = [
        shlex.split(line)[1:]
        for line in map(str.strip, TEACHING.text.splitlines())
        if line.startswith(("beep teach examples/", "beep start examples/"))
    ]
    taught = beep(*teach)
    assert (taught.code, taught.err) == (0, "")
    start.remove("--wait")  # no services run here: what their run would do is done below
    started = beep(*start, "--json")
    assert started.code == 0, started.err
    with configured.transaction() as tables:
        stored = tables.executions.load_input(WorkflowExecutionId(started.json["execution_id"]))
    graph = extract(parse_extraction_input(stored))
    facts, promised = _facts(graph), _block("text").splitlines()
    assert set(promised) <= facts
    assert not any(fact.startswith("Rear Window —director") for fact in facts)
    assert {entity.name for entity in graph.entities if entity.type == "genre"} == {"drama", "thriller"}
    assert _facts(extract(parse_extraction_input(stored | {"examples": []}))) == set(promised[:1])


def test_the_examples_are_examples() -> None:
    lines = [json.loads(line) for line in Path(FOLDER / "films.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len({line["text"] for line in lines}) == len(lines) >= 20
