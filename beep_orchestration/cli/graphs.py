"""The command that reads a completed execution's graph."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from beep_orchestration.cli.invocation import AsJson, ExecutionId, connected, console
from beep_orchestration.errors import InvalidInputError
from beep_orchestration.extraction.exports import GraphFormat, export

if TYPE_CHECKING:
    from beep_orchestration.extraction.model import Graph
    from beep_orchestration.service import WorkflowService


def graph(
    ctx: typer.Context,
    execution_id: ExecutionId,
    *,
    graph_format: Annotated[
        GraphFormat | None, typer.Option("--format", "-f", help="Without it: a report to read.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-O", help="The file to write; stdout otherwise.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the graph of a completed execution, or write it to a file.

    beep graph ID

    beep graph ID --format html --output graph.html

    beep graph ID --format json | jq '.entities[].name'

    beep graph ID --format csv --output graph.zip
    """
    if as_json and graph_format not in {None, GraphFormat.JSON}:
        raise typer.BadParameter("with --json the format is json: give one of the two", param_hint="--format")
    graph_format = graph_format or (GraphFormat.JSON if as_json else None)
    if graph_format is None and output is not None:
        raise typer.BadParameter("needs --format", param_hint="--output")
    if graph_format is GraphFormat.CSV and output is None and is_terminal():
        raise typer.BadParameter("csv is a ZIP archive, no text for a terminal: add --output", param_hint="--format")
    with connected(ctx) as service:
        extracted, text, ontology = _read(service, execution_id)
    if output is None and graph_format in {None, GraphFormat.TEXT}:
        from beep_orchestration.extraction.exports.terminal import to_terminal  # noqa: PLC0415

        console().print(to_terminal(extracted, text))
        return
    document = export(extracted, text, graph_format or GraphFormat.TEXT, ontology)
    if output is not None:
        output.write_bytes(document)
        return
    is_text = graph_format is not GraphFormat.CSV
    sys.stdout.buffer.write(document + b"\n" * (is_text and not document.endswith(b"\n")))
    sys.stdout.buffer.flush()


def _read(service: "WorkflowService", execution_id: str) -> tuple["Graph", str, str | None]:
    """The graph, its text and its ontology; raises `InvalidInputError` for a workflow type that makes no graphs.

    A graph of an extraction that cannot be read is no refusal: `ValidationError` tells what is wrong with it.
    """
    from beep_orchestration.extraction.model import Graph  # noqa: PLC0415
    from beep_orchestration.workflow_types import EXTRACTION  # noqa: PLC0415

    result, source = service.result(execution_id), service.load_input(execution_id)
    try:
        return Graph.model_validate(result), source["text"], source.get("ontology")
    except (ValidationError, KeyError) as error:
        workflow_type = service.get_status(execution_id).workflow_type
        if workflow_type == EXTRACTION.name:
            raise
        raise InvalidInputError(
            "execution_id",
            f"{execution_id} is of the workflow type {workflow_type!r}, which makes no graph",
            f"read its result at /workflows/{execution_id}/result of the HTTP API",
        ) from error


def is_terminal() -> bool:
    """Whether what is written to stdout appears before a person."""
    return sys.stdout.isatty()
