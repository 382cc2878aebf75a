import json
from pathlib import Path
from xml.etree import ElementTree as ET
from zipfile import ZipFile

import pytest
from rdflib import Graph as RdfGraph

from beep_orchestration.cli import graphs
from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.models import ExecutionStatus
from beep_orchestration.persistence import Database
from tests.cli.conftest import TEXT, Beep
from tests.factories import claimed, ended

WRONG_USAGE = 2


def test_json_has_entities_relations_and_statistics(beep: Beep, completed_id: WorkflowExecutionId) -> None:
    printed = beep("graph", completed_id, "--format", "json")
    assert {"entities", "relations", "stats"} <= set(printed.json)
    assert [entity["name"] for entity in printed.json["entities"]] == ["Ada Lovelace", "London"]
    assert beep("graph", completed_id, "--json").out == printed.out
    assert beep("graph", completed_id, "--json", "--format", "json").out == printed.out
    assert beep("graph", completed_id, "--json", "--format", "turtle").code == WRONG_USAGE


def test_every_format_can_be_read_by_its_readers(beep: Beep, completed_id: WorkflowExecutionId) -> None:
    assert len(RdfGraph().parse(data=beep("graph", completed_id, "--format", "turtle").out)) > 0
    assert ET.fromstring(beep("graph", completed_id, "--format", "graphml").out).tag.endswith("graphml")  # noqa: S314
    assert beep("graph", completed_id, "--format", "html").out.lower().startswith("<!doctype html>")
    jsonld = beep("graph", completed_id, "--format", "jsonld").out
    assert set(RdfGraph().parse(data=jsonld, format="json-ld")) == set(
        RdfGraph().parse(data=beep("graph", completed_id, "--format", "turtle").out)
    )
    lines = beep("graph", completed_id, "--format", "jsonl").out.splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["document", "entity", "entity", "relation"]


def test_the_csv_files_come_as_one_archive(beep: Beep, completed_id: WorkflowExecutionId, tmp_path: Path) -> None:
    assert beep("graph", completed_id, "--format", "csv", "--output", tmp_path / "graph.zip").code == 0
    with ZipFile(tmp_path / "graph.zip") as archive:
        assert {"entities.csv", "relations.csv", "mentions.csv"} <= set(archive.namelist())


def test_an_archive_is_not_written_to_a_terminal(
    beep: Beep, completed_id: WorkflowExecutionId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphs, "is_terminal", lambda: True)
    assert beep("graph", completed_id, "--format", "csv").code == WRONG_USAGE
    assert beep("graph", completed_id, "--format", "jsonl").code == 0


def test_a_file_holds_what_stdout_would_get(beep: Beep, completed_id: WorkflowExecutionId, tmp_path: Path) -> None:
    result = beep("graph", completed_id, "--format", "json", "--output", tmp_path / "graph.json")
    assert (result.code, result.out) == (0, "")
    printed = beep("graph", completed_id, "--format", "json").out
    assert json.loads((tmp_path / "graph.json").read_text(encoding="utf-8")) == json.loads(printed)


def test_without_a_format_there_is_a_report_to_read(beep: Beep, completed_id: WorkflowExecutionId) -> None:
    printed = beep("graph", completed_id).out
    assert "2 entities, 1 relation, " in printed
    assert "Ada Lovelace" in printed


def test_the_report_can_be_asked_for_and_written_to_a_file(
    beep: Beep, completed_id: WorkflowExecutionId, tmp_path: Path
) -> None:
    assert beep("graph", completed_id, "--format", "text").out == beep("graph", completed_id).out
    assert beep("graph", completed_id, "--format", "text", "--output", tmp_path / "graph.txt").code == 0
    assert "Ada Lovelace" in (tmp_path / "graph.txt").read_text(encoding="utf-8")


def test_a_file_that_cannot_be_written_is_one_line(beep: Beep, completed_id: WorkflowExecutionId) -> None:
    assert "No such file" in beep("graph", completed_id, "--format", "html", "--output", "absent/graph.html").error


def test_an_execution_without_a_result_is_refused(beep: Beep, configured: Database) -> None:
    with configured.transaction() as tables:
        execution_id = ended(tables, ExecutionStatus.FAILED).id
    assert "has no result" in beep("graph", execution_id, "--json").error


def test_an_execution_of_a_type_without_graphs_is_refused_by_the_name_of_its_type(
    beep: Beep, configured: Database
) -> None:
    with configured.transaction() as tables:
        execution = claimed(tables, workflow_type="reading_list")
        assert tables.executions.complete(execution.id, execution.epoch, {"titles": ["Emma"]})
    for option in ((), ("--json",), ("--format", "html")):
        error = beep("graph", execution.id, *option).error
        assert "is of the workflow type 'reading_list', which makes no graph; read its result at" in error


def test_a_graph_that_cannot_be_read_is_no_refusal(beep: Beep, configured: Database) -> None:
    with configured.transaction() as tables:
        execution = claimed(tables)
        assert tables.executions.complete(execution.id, execution.epoch, {"entities": "none"})
    error = beep("graph", execution.id).error
    assert "which makes no graph" not in error
    assert "ValidationError" in error


def test_a_graph_of_an_input_without_an_ontology_is_shown(
    beep: Beep, configured: Database, completed_id: WorkflowExecutionId
) -> None:
    with configured.transaction() as tables:
        result = tables.executions.load_output(completed_id)
        assert result is not None
        execution = claimed(tables, workflow_type="reading_list", input={"text": TEXT})
        assert tables.executions.complete(execution.id, execution.epoch, result)
    assert "2 entities, 1 relation, " in beep("graph", execution.id).out


@pytest.mark.parametrize("arguments", [["--output", "x"], ["--format", "pdf"]])
def test_an_output_without_a_known_format_is_wrong_usage(beep: Beep, arguments: list[str]) -> None:
    assert beep("graph", "any", *arguments).code == WRONG_USAGE
