"""Reading examples from a file: an object a line, `{"text", "triples": [{"subject", "relation", "object"}]}`."""

import re
from collections.abc import Sequence
from functools import lru_cache

from pydantic import ValidationError

from beep_orchestration.errors import InvalidInputError
from beep_orchestration.extraction.demonyms import COUNTRIES
from beep_orchestration.extraction.model import Example, ExampleTriple
from beep_orchestration.extraction.names import continues_word, date_key, folded
from beep_orchestration.extraction.ontology import Ontology
from beep_orchestration.refusals import first_fault

_DATE = re.compile(r"0*(?P<year>\d{3,4})(?:-\d\d){0,2}")


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


def warnings_about(examples: Sequence[Example]) -> tuple[str, ...]:
    """What of the examples teaches nothing: all of them, or those of a relation.

    As the local extractor looks for names in a sentence (`taught.lessons`), though without reading it.
    """
    relations = dict.fromkeys(triple.relation for example in examples for triple in example.triples)
    if not relations:
        return ("no example has a triple, so nothing can be learned from them; write what each sentence states",)
    taught = {triple.relation for example in examples for triple in example.triples if is_in(example.text, triple)}
    return tuple(
        f"nothing can be learned about {relation!r}: none of its triples has both of its names in its sentence; "
        "write them as they stand there"
        for relation in relations
        if relation not in taught
    )


def is_in(text: str, triple: ExampleTriple) -> bool:
    """Whether both names of the triple stand there as words: in any case, as its people, as a date by its year."""
    return _stands_in(triple.subject, text) and _stands_in(triple.object, text)


def _stands_in(name: str, text: str) -> bool:
    date = _DATE.fullmatch(date_key(name))
    years = [] if date is None else [date["year"]]
    return any(_has_words(text, words) for words in (name, *years, *_peoples().get(folded(name), ())))


def _has_words(text: str, words: str) -> bool:
    """Whether the words stand in the text, but for case, blanks and underscores; 'US' does not in 'because'."""
    written, sought = text.casefold(), folded(words)
    places = [place for place, character in enumerate(written) if not (character.isspace() or character == "_")]
    joined = "".join(written[place] for place in places)
    start = joined.find(sought) if sought else -1
    while start >= 0:
        first, last = places[start], places[start + len(sought) - 1]
        if not continues_word(written, first) and not continues_word(written, last + 1):
            return True
        start = joined.find(sought, start + 1)
    return False


@lru_cache(maxsize=1)
def _peoples() -> dict[str, list[str]]:
    """What people of each country are called, all folded."""
    peoples: dict[str, list[str]] = {}
    for people, country in COUNTRIES.items():
        peoples.setdefault(folded(country), []).append(folded(people))
    return peoples


def _parse(line: str, number: int) -> Example:
    try:
        return Example.model_validate_json(line, strict=True)
    except ValidationError as error:
        path, problem, remedy = first_fault(error)
        raise InvalidInputError(
            f"line.{number}.{path}".rstrip("."),
            problem,
            remedy + '; write {"text": "...", "triples": [{"subject": "...", "relation": "...", "object": "..."}]}',
        ) from error
