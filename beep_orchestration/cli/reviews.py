"""The command with which a person decides on doubtful facts."""

import getpass
from collections.abc import Iterator, Mapping, Sequence
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

    given = {
        key: value
        for key, value in {"name": name, "type": entity_type, "predicate": predicate}.items()
        if value is not None
    }
    if bool(given) != (edit is not None):
        raise typer.BadParameter("goes together with --name, --type or --predicate", param_hint="--edit")
    signed = {"by": by or getpass.getuser()} | ({"note": note} if note else {})
    with connected(ctx) as service:
        waiting = open_doubts(service, execution_id)
        named = {
            "approve": _named(waiting, approve, "--approve"),
            "reject": _named(waiting, reject, "--reject"),
            "edit": _named(waiting, None if edit is None else str(edit), "--edit"),
        }
        _refuse_two_decisions(named)
        for doubt in named["edit"]:
            _check_edit(doubt, given)
        for signal_name, payload in _answers(named, given, is_all=_ALL in (approve, reject)):
            service.signal(execution_id, signal_name, payload | signed)
    if not as_json:
        _confirm(named)
    decided = {doubt.number for doubts in named.values() for doubt in doubts}
    _show([doubt for doubt in waiting if doubt.number not in decided], as_json=as_json)


def _named(waiting: Sequence["Doubt"], numbers: str | None, option: str) -> list["Doubt"]:
    """The facts of these numbers, each once."""
    if numbers is None:
        return []
    if numbers == _ALL:
        return list(waiting)
    known = {doubt.number: doubt for doubt in waiting}
    try:
        given = dict.fromkeys(int(number) for number in numbers.split(","))
    except ValueError:
        raise typer.BadParameter(f"{numbers!r} is neither numbers nor 'all'", param_hint=option) from None
    unknown = next((number for number in given if number not in known), None)
    if unknown is not None:
        raise InvalidInputError(
            option, f"no fact {unknown} waits for a decision", "give numbers that 'beep review ID' lists, or 'all'"
        )
    return [known[number] for number in given]


def _refuse_two_decisions(named: Mapping[str, Sequence["Doubt"]]) -> None:
    """The first decision about a fact would count, and nobody can tell which of the two was meant."""
    decided: dict[int, str] = {}
    for decision, doubts in named.items():
        for doubt in doubts:
            earlier = decided.setdefault(doubt.number, decision)
            if earlier != decision:
                raise InvalidInputError(
                    f"--{decision}", f"names fact {doubt.number}, and --{earlier} does too", "decide once on each fact"
                )


def _check_edit(doubt: "Doubt", given: Mapping[str, str]) -> None:
    """Refuse a change that the fact cannot have, by the option that brings it."""
    kind, possible = ("an entity", ("name", "type")) if doubt.relation is None else ("a relation", ("predicate",))
    wrong = next((option for option in given if option not in possible), None)
    if wrong is not None:
        raise InvalidInputError(
            f"--{wrong}",
            f"fact {doubt.number}, {doubt.text}, is {kind} and has no {wrong}",
            f"give {' or '.join(f'--{option}' for option in possible)}",
        )


def _answers(
    named: Mapping[str, Sequence["Doubt"]], given: Mapping[str, str], *, is_all: bool
) -> Iterator[tuple[str, Json]]:
    """The signals that say so; where all are decided on alike, one that names none of them."""
    for decision in ("approve", "reject"):
        if is_all and named[decision]:
            yield decision, {}
        else:
            yield from ((decision, doubt.named()) for doubt in named[decision])
    yield from (("edit", {**doubt.named(), **given}) for doubt in named["edit"])


def _confirm(named: Mapping[str, Sequence["Doubt"]]) -> None:
    """Say what was sent; it is stored by then."""
    words = {"approve": "approved", "reject": "rejected", "edit": "edited"}
    for decision, doubts in named.items():
        for doubt in doubts:
            print_text(f"{words[decision]} {doubt.number}  {doubt.text}")


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
