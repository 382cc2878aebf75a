"""Reading examples from a file: an object a line, `{"text", "triples": [{"subject", "relation", "object"}]}`."""

from collections.abc import Sequence

from pydantic import ValidationError

from beep_orchestration.errors import InvalidInputError
from beep_orchestration.extraction.model import Example
from beep_orchestration.extraction.ontology import Ontology


def parse_examples(text: str) -> tuple[Example, ...]:
    """The examples of a file; blank lines are nothing.

    Raises:
        InvalidInputError: names the first faulty line, the field in it, and what to do.
    """
    found = tuple(_parse(line, number) for number, line in enumerate(text.splitlines(), start=1) if line.strip())
    if not found:
        raise InvalidInputError("examples", "there is none", "write one on each line, as JSON")
    return found


def check_examples(examples: Sequence[Example], ontology: Ontology) -> None:
    """Raise `InvalidInputError`, with the triple's place, for a relation that the ontology has not."""
    known = {relation.name for relation in ontology.relations}
    for number, example in enumerate(examples):
        for place, triple in enumerate(example.triples):
            if triple.relation not in known:
                raise InvalidInputError(
                    f"examples.{number}.triples.{place}.relation",
                    f"{triple.relation!r} is no relation of the ontology",
                    f"use one of: {', '.join(sorted(known))}",
                )


def _parse(line: str, number: int) -> Example:
    try:
        return Example.model_validate_json(line, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(("line", str(number), *map(str, first["loc"])))
        raise InvalidInputError(
            field,
            first["msg"][:1].lower() + first["msg"][1:],
            'write {"text": "...", "triples": [{"subject": "...", "relation": "...", "object": "..."}]}',
        ) from error
