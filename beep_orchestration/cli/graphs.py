"""The command that reads a completed execution's graph."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from beep_orchestration.cli.invocation import AsJson, ExecutionId, connected, console
from beep_orchestration.extraction.exports import GraphFormat, export


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
    """
    from beep_orchestration.extraction.model import Graph  # noqa: PLC0415

    graph_format = graph_format or (GraphFormat.JSON if as_json else None)
    if graph_format is None and output is not None:
        raise typer.BadParameter("needs --format", param_hint="--output")
    with connected(ctx) as service:
        extracted = Graph.model_validate(service.result(execution_id))
        source = service.load_input(execution_id)
    if graph_format is None:
        from beep_orchestration.extraction.exports.terminal import to_terminal  # noqa: PLC0415

        console().print(to_terminal(extracted, source["text"]))
        return
    document = export(extracted, source["text"], graph_format, source["ontology"])
    if output is None:
        sys.stdout.buffer.write(document.encode() + b"\n" * (not document.endswith("\n")))
        sys.stdout.buffer.flush()
    else:
        output.write_text(document, encoding="utf-8", newline="")
