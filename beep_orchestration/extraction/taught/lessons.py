"""What an example says about its sentence: which spans are ends of which relations.

The names of an example's triples are looked for in its sentence: as written, but for case and blanks; a date in any
form; a country also as 'Japanese'. A name that the sentence has not teaches nothing.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from beep_orchestration.extraction.demonyms import COUNTRIES
from beep_orchestration.extraction.model import Example
from beep_orchestration.extraction.names import date_key, folded
from beep_orchestration.extraction.ontology import Ontology
from beep_orchestration.extraction.taught.spans import WordSpan

if TYPE_CHECKING:
    from spacy.tokens import Doc

NOTHING = "-"
"""The class of a span that names no end of a relation."""

_FIRST_DAY = re.compile(r"(\d{4})-01(?:-01)?")


@dataclass(frozen=True)
class Lesson:
    """One example, located: the relations of each pair of spans, and the class that each span must therefore have."""

    relations: Mapping[tuple[WordSpan, WordSpan], frozenset[str]]
    classes: Mapping[WordSpan, str]


def lesson(doc: "Doc", spans: Iterable[WordSpan], example: Example, ontology: Ontology) -> Lesson:
    """What the example says about these spans of its sentence."""
    named: dict[str, list[WordSpan]] = defaultdict(list)
    for span in spans:
        for name in ways_to_write(doc[span.start : span.end].text):
            named[name].append(span)
    relations: dict[tuple[WordSpan, WordSpan], set[str]] = defaultdict(set)
    classes: dict[WordSpan, Counter[str]] = defaultdict(Counter)
    for triple in example.triples:
        subjects, objects = _located(triple.subject, named), _located(triple.object, named)
        for role, located in (("domain", subjects), ("range", objects)):
            for span in located:
                classes[span][class_of_end(ontology, triple.relation, role)] += 1
        for subject in subjects:
            for target in objects:
                relations[subject, target].add(triple.relation)
    return Lesson(
        relations={pair: frozenset(found) for pair, found in relations.items()},
        classes={span: max(sorted(counts), key=counts.__getitem__) for span, counts in classes.items()},
    )


def class_of_end(ontology: Ontology, relation: str, role: str) -> str:
    """The class that stands at a relation's `domain` or `range`; where it is open, a name for this end alone."""
    found = next(known for known in ontology.relations if known.name == relation)
    classes: tuple[str, ...] = getattr(found, role)
    return classes[0] if classes else f"{role} of {relation}"


def ways_to_write(name: str) -> frozenset[str]:
    """The forms under which a name in a text is looked for."""
    forms = {folded(name), f"date {_date(name)}"}
    if name in COUNTRIES:
        forms.add(folded(COUNTRIES[name]))
    return frozenset(forms)


def _located(name: str, named: Mapping[str, list[WordSpan]]) -> list[WordSpan]:
    return named.get(folded(name)) or named.get(f"date {_date(name)}") or []


def _date(name: str) -> str:
    """A date by value; the first of January is its year, as data sets write a year so."""
    key = date_key(name)
    first_day = _FIRST_DAY.fullmatch(key)
    return first_day[1] if first_day else key
