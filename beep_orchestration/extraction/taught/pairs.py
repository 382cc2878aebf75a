"""What can be said about two names in one sentence, of which the first may be the subject and the second the object."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from beep_orchestration.extraction.taught.spans import first_of_list, governor, nearest, word_at

if TYPE_CHECKING:
    from spacy.tokens import Doc

_MOST_BETWEEN, _NEAR, _FAR = 12, 4, 8


class TypedSpan(NamedTuple):
    """Words `start:end` of a document that name something of this type."""

    start: int
    end: int
    type: str


def features_of_pair(doc: "Doc", subject: TypedSpan, target: TypedSpan) -> Iterator[str]:
    """Types, order, distance, the words between, and what governs either."""
    yield f"types {subject.type} > {target.type}"
    yield f"subject type {subject.type}"
    yield f"object type {target.type}"
    yield "subject opens" if subject.start <= 1 else "subject inside"
    yield from _between(doc, subject, target)
    for role, span in (("subject", subject), ("object", target)):
        yield from _around(doc, role, span)
    yield f"verb {nearest(reversed(doc[max(0, target.start - 12) : target.start]), ('VERB',))}"
    yield f"noun {nearest(reversed(doc[max(0, target.start - 6) : target.start]), ('NOUN',))}"


def _between(doc: "Doc", subject: TypedSpan, target: TypedSpan) -> Iterator[str]:
    first, second = sorted((subject, target))
    order = "subject first" if first is subject else "object first"
    between = doc[first.end : max(first.end, second.start)]
    distance = len(between)
    yield order
    yield f"distance {distance if distance < _FAR else 10 * min(distance // 4, 6)}"
    yield from (f"{order} over {token.lemma_.lower()}" for token in between[:_MOST_BETWEEN] if not token.is_punct)
    if distance <= _NEAR:
        yield f"{order} across {' '.join(token.lower_ for token in between)}"


def _around(doc: "Doc", role: str, span: TypedSpan) -> Iterator[str]:
    root = doc[span.start : span.end].root
    yield f"{role} after {word_at(doc, span.start - 1)}"
    yield f"{role} after {word_at(doc, span.start - 2)} {word_at(doc, span.start - 1)}"
    yield f"{role} before {word_at(doc, span.end)}"
    yield f"{role} is {root.dep_}"
    yield f"{role} is {root.dep_} of {governor(root)}"
    yield f"{role} list governed by {governor(first_of_list(root))}"
    yield f"{role} ends in {word_at(doc, span.end - 1)}"
