"""The command with which a person decides on doubtful facts."""

import getpass
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from beep_orchestration.cli.invocation import AsJson, ExecutionId, connected, print_json, print_text
from beep_orchestration.errors import InvalidInputError
from beep_orchestration.models import Json

if TYPE_CHECKING:
    from beep_orchestration.reviewing import Doubt

_ALL = "all"
Numbers = Annotated[str | None, typer.Option(metavar="1,2|all", help="These are right.", show_default=False)]


def review(
    ctx: typer.Context,
    execution_id: ExecutionId,
    *,
    approve: Numbers = None,
    reject: Annotated[
        str | None, typer.Option(metavar="1,2|all", help="These are wrong and left out.", show_default=False)
    ] = None,
    edit: Annotated[
        int | None, typer.Option(metavar="N", help="This is right but for what is given with it.", show_default=False)
    ] = None,
    name: Annotated[str | None, typer.Option(help="With --edit: the entity's name.", show_default=False)] = None,
    entity_type: Annotated[
        str | None, typer.Option("--type", help="With --edit: the entity's type.", show_default=False)
    ] = None,
    predicate: Annotated[str | None, typer.Option(help="With --edit: the relation's name.", show_default=False)] = None,
    by: Annotated[str | None, typer.Option(help="Who decides; your user name otherwise.", show_default=False)] = None,
    note: Annotated[str | None, typer.Option(help="Why, for the graph's provenance.", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """List the facts that wait for a decision, with their sentences, and decide on them.

    beep start notes.txt -o review_below=0.8

    beep review ID

    beep review ID --approve 1,3 --reject 2

    When all are decided on the execution goes on. Decisions, by whom and when, are in the graph's provenance.
    """
    from beep_orchestration.reviewing import open_doubts  # noqa: PLC0415 - loads the extraction

    given = {key: value for key, value in {"name": name, "type": entity_type, "predicate": predicate}.items() if value}
    if bool(given) != (edit is not None):
        raise InvalidInputError("--edit", "and what it changes go together", "give --edit N with --name or --predicate")
    signed = {"by": by or getpass.getuser()} | ({"note": note} if note else {})
    with connected(ctx) as service:
        waiting = open_doubts(service, execution_id)
        answers = [
            *(("approve", payload) for payload in _named(waiting, approve, "--approve")),
            *(("reject", payload) for payload in _named(waiting, reject, "--reject")),
            *(("edit", payload | given) for payload in _named(waiting, None if edit is None else str(edit), "--edit")),
        ]
        for signal_name, payload in answers:
            service.signal(execution_id, signal_name, payload | signed)
        decided = [payload for _, payload in answers]
    left = [] if {} in decided else [doubt for doubt in waiting if doubt.named() not in decided]
    _show(left, as_json=as_json)


def _named(waiting: Sequence["Doubt"], numbers: str | None, option: str) -> list[Json]:
    """The payloads that name these facts; an empty one names all."""
    if numbers is None:
        return []
    if numbers.strip() == _ALL:
        return [{}]
    known = {doubt.number: doubt for doubt in waiting}
    try:
        return [known[int(number)].named() for number in numbers.split(",")]
    except (ValueError, KeyError):
        raise InvalidInputError(
            option, f"{numbers!r} is no list of facts that wait", "give numbers that 'beep review ID' lists, or 'all'"
        ) from None


def _show(waiting: Sequence["Doubt"], *, as_json: bool) -> None:
    if as_json:
        print_json({"waiting": [doubt.model_dump(mode="json") for doubt in waiting]})
        return
    for doubt in waiting:
        print_text(f"{doubt.number:>4}  {doubt.text}  {doubt.confidence:.2f}")
        for sentence in doubt.sentences:
            print_text(f"      “{' '.join(sentence.split())}”", style="dim")
    if not waiting:
        print_text("all are decided on; the execution goes on")
