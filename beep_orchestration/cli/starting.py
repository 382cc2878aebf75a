"""The command that starts executions from files."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beep_orchestration.cli.executions import require_completed
from beep_orchestration.cli.invocation import AsJson, connected, console, print_error, print_json, print_text
from beep_orchestration.errors import InvalidDocumentError, InvalidInputError, WorkflowStartError
from beep_orchestration.extraction.model import ExtractorName
from beep_orchestration.models import Started, WorkflowStatus

if TYPE_CHECKING:
    from beep_orchestration.service import WorkflowService

STDIN = "-"
_BYTES_PER_CHARACTER = 4
"""The most that a code point takes in UTF-8, UTF-16 or UTF-32."""


def start(
    ctx: typer.Context,
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="A document; - is stdin.", show_default=False)],
    *,
    title: Annotated[str | None, typer.Option(help="The document's title.", show_default=False)] = None,
    source_uri: Annotated[str | None, typer.Option(help="Where the document is from.", show_default=False)] = None,
    document_id: Annotated[str | None, typer.Option(help="Otherwise the file's name.", show_default=False)] = None,
    ontology: Annotated[
        Path | None, typer.Option(help="A Turtle file; otherwise the built-in ontology.", show_default=False)
    ] = None,
    extractor: Annotated[
        ExtractorName | None, typer.Option(help="Who finds names and facts; otherwise 'local'.", show_default=False)
    ] = None,
    examples: Annotated[
        str | None,
        typer.Option(help="Learn from the examples that 'beep teach' stored under this name.", show_default=False),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            "-o",
            metavar="KEY=VALUE",
            help="chunk_size, chunk_overlap, batch_size, minimum_mention_confidence, minimum_relation_confidence, "
            "review_below, concurrency, token_budget, cost_budget, when_budget_is_used_up or account; may be repeated.",
            show_default=False,
        ),
    ] = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(help="A second start with this key answers with the first execution.", show_default=False),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end; exit code 1 unless it is completed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start an execution for each document. It is stored before this returns, and launched when 'beep up' is running.

    Of several files the good ones are started; exit code 1 if there was a bad one.

        beep start notes.txt --title "My notes" --wait

        beep start *.txt -o chunk_size=4000 -o concurrency=2

        curl -s https://example.org/text | beep start - --document-id text --json
    """
    _refuse_for_several(files, {"--title": title, "--source-uri": source_uri, "--document-id": document_id,
                                "--idempotency-key": idempotency_key})  # fmt: skip
    shared = {"title": title, "source_uri": source_uri, "options": _parse_options(option or [])}
    if extractor is not None:
        shared["extractor"] = extractor
    if examples is not None:
        shared["examples"] = examples
    if ontology is not None:
        shared["ontology"] = read_text(str(ontology), "ontology")
    is_bad = False
    started: dict[str, str] = {}
    with connected(ctx) as service:
        for file in files:
            try:
                accepted = _start(service, file, document_id, shared, idempotency_key)
            except (InvalidInputError, WorkflowStartError, OSError) as error:
                print_error(error, file)
                is_bad = True
                continue
            started[accepted.execution_id] = file
            if as_json:
                print_json(accepted)
            else:
                _show(service, accepted, file)
        if wait:
            _wait(service, started, as_json=as_json)
    if is_bad:
        raise typer.Exit(1)


def _show(service: "WorkflowService", accepted: Started, file: str) -> None:
    if accepted.is_new:
        print_text(f"started {accepted.execution_id}  {file}")
        pauses = accepted.pauses
    else:
        found = service.get_status(accepted.execution_id)
        print_text(f"exists already {found.execution_id}  {file}  {found.status}")
        pauses = found.pauses
    for pause in pauses:
        print_text(f"paused {pause.describe()}; on with '{pause.ended_by(accepted.execution_id)}'")


def _start(
    service: "WorkflowService", file: str, document_id: str | None, shared: dict[str, Any], key: str | None
) -> Started:
    name = document_id or ("stdin" if file == STDIN else Path(file).name)
    return service.start_or_get(
        "extraction", {"document_id": name, "text": read_text(file, "text"), **shared}, idempotency_key=key
    )


def _wait(service: "WorkflowService", started: dict[str, str], *, as_json: bool) -> None:
    from beep_orchestration.progress import follow  # noqa: PLC0415 - imports what only some commands need

    if as_json:
        require_completed(map(_printed_end, map(service.wait, started)))
    else:
        require_completed(follow(service, started, console()).values())


def _printed_end(ended: WorkflowStatus) -> WorkflowStatus:
    """The last line that 'beep watch --json' would print."""
    print_json(ended)
    return ended


def read_text(file: str, field: str) -> str:
    """A file's text. More than the limit allows is not even read, whatever the file's size says."""
    from beep_orchestration.extraction import decode_document  # noqa: PLC0415
    from beep_orchestration.settings import load_settings  # noqa: PLC0415

    limit = load_settings().maximum_document_characters
    most = limit * _BYTES_PER_CHARACTER + _BYTES_PER_CHARACTER
    if file == STDIN:
        data = sys.stdin.buffer.read(most + 1)
    else:
        with Path(file).open("rb") as stream:
            data = stream.read(most + 1)
    if len(data) > most:
        raise InvalidDocumentError(
            field,
            f"has more than the limit of {limit:,} characters",
            "split it, or raise BEEP_MAXIMUM_DOCUMENT_CHARACTERS",
        )
    return decode_document(data)


def _parse_options(pairs: list[str]) -> dict[str, Any]:
    """Values are JSON where they can be, so that numbers are numbers; the workflow type checks the rest."""
    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise typer.BadParameter(f"{pair!r} is not KEY=VALUE", param_hint="--option")
        options[key] = _json_or_text(value)
    return options


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def _refuse_for_several(files: list[str], single: dict[str, str | None]) -> None:
    for name, value in single.items():
        if value is not None and len(files) > 1:
            raise typer.BadParameter("belongs to one document; start one FILE with it", param_hint=name)
