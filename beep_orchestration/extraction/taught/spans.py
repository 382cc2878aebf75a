"""Stretches of a sentence that may name something, and what can be said about each without knowing what it names.

More than the recognizer's names, for a relation's ends may be titles ('When Women Were Called Virgins') and plain nouns
('horror film', 'vice admiral'). Many of the spans overlap; the model decides which are meant.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from beep_orchestration.extraction.local.name_spans import Named
from beep_orchestration.extraction.local.word_lists import words

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

_SMALL_WORDS = frozenset(words("a an and as at but by for from in into nor of on or so the to up with vs le la de der"))
_MARKS = frozenset(words("& : - ! ? ' ’ . , / … 's ’s n"))
_SEAMS = frozenset(words("and of in the 's ’s : , by for - ' ’ at on"))
_LONGEST_RUN, _LONGEST_PHRASE, _MOST_STARTS, _MOST_ENDS = 16, 4, 5, 6
_OPENING_WORDS, _MOST_OPENINGS = 16, 3
_QUOTES = frozenset("\"'“”")
_REACH = 12

RUN, OPENING, PHRASE = "run", "opening", "phrase"
"""How a span was found, where the recognizer did not label it."""


class WordSpan(NamedTuple):
    """Words `start:end` of a document; `label` is the recognizer's, or how the span was found."""

    start: int
    end: int
    label: str


def candidate_spans(doc: "Doc", names: Iterable[Named]) -> list[WordSpan]:
    """The recognized names, runs of capitalised words, what opens a sentence, and short noun phrases."""
    found: dict[tuple[int, int], str] = {}
    for name in names:
        named = doc.char_span(name.start, name.end, alignment_mode="contract")
        if named is not None:
            found[named.start, named.end] = name.label
    for label, spans in ((RUN, _runs(doc)), (OPENING, _openings(doc)), (PHRASE, _phrases(doc))):
        for span in spans:
            found.setdefault(span, label)
    return [WordSpan(start, end, label) for (start, end), label in sorted(found.items())]


def _runs(doc: "Doc") -> Iterator[tuple[int, int]]:
    """Each run of capitalised words with small words between them, whole and cut at its seams."""
    position = 0
    while position < len(doc):
        if not _is_capitalised(doc[position]) or doc[position].lower_ in _SEAMS:
            position += 1
            continue
        end = _end_of_run(doc, position)
        yield from _cuts(doc, position, end)
        position = end


def _end_of_run(doc: "Doc", start: int) -> int:
    end = start + 1
    for token in doc[start + 1 : start + _LONGEST_RUN]:
        if _is_capitalised(token):
            end = token.i + 1
        elif token.lower_ not in _SMALL_WORDS and token.lower_ not in _MARKS:
            break
    return end


def _cuts(doc: "Doc", start: int, end: int) -> Iterator[tuple[int, int]]:
    inner = range(start + 1, end)
    starts = [start, *(i for i in inner if doc[i - 1].lower_ in _SEAMS and _is_capitalised(doc[i]))]
    ends = [end, *(i for i in inner if doc[i].lower_ in _SEAMS and _is_capitalised(doc[i - 1]))]
    if end < len(doc) and doc[end].text in "!?":
        ends.append(end + 1)
    if start and doc[start - 1].lower_ in ("the", "a"):
        starts.append(start - 1)
    for first in starts[:_MOST_STARTS]:
        yield from ((first, last) for last in ends[:_MOST_ENDS] if first < last)


def _openings(doc: "Doc") -> Iterator[tuple[int, int]]:
    """What stands before the first verbs or the first bracket of a block: 'Hold It Against Me' was written by ..."""
    start = next((token.i for token in doc if token.text not in _QUOTES), len(doc))
    if start == len(doc) or not _is_capitalised(doc[start]):
        return
    ends = (token.i for token in doc[start + 1 : start + _OPENING_WORDS] if _may_end_opening(token))
    for _, end in zip(range(_MOST_OPENINGS), ends, strict=False):
        yield start, end


def _may_end_opening(token: "Token") -> bool:
    return token.text == "(" or token.text in _QUOTES or (token.pos_ in ("AUX", "VERB") and token.text[0].islower())


def _phrases(doc: "Doc") -> Iterator[tuple[int, int]]:
    for first, end in _nominal_runs(doc):
        for start in range(first, end):
            if doc[start].text != "-":
                for last in range(start + 1, min(end, start + _LONGEST_PHRASE) + 1):
                    if doc[last - 1].pos_ in ("NOUN", "PROPN", "ADJ"):
                        yield start, last


def _nominal_runs(doc: "Doc") -> Iterator[tuple[int, int]]:
    start: int | None = None
    for token in doc:
        if token.pos_ in ("NOUN", "ADJ", "PROPN", "NUM") or token.text == "-":
            start = token.i if start is None else start
        elif start is not None:
            yield start, token.i
            start = None
    if start is not None:
        yield start, len(doc)


def _is_capitalised(token: "Token") -> bool:
    text = token.text
    has_capital = any(character.isupper() for character in text)
    return has_capital or text[0].isdigit() or (text[0] in "'’." and text[1:].isalnum())


def features_of_span(doc: "Doc", span: WordSpan) -> Iterator[str]:
    """The span's words, its neighbours, and what governs it."""
    inside, root = doc[span.start : span.end], doc[span.start : span.end].root
    yield f"label {span.label}"
    yield f"length {min(len(inside), 6)}"
    yield "opens" if all(token.text in _QUOTES for token in doc[: span.start]) else "inside"
    yield from (f"word {token.lower_}" for token in inside)
    yield f"first {inside[0].lower_}"
    yield f"last {inside[-1].lemma_.lower()}"
    yield f"shape {' '.join(dict.fromkeys(map(_shape, inside)))}"
    yield f"pos {inside[0].pos_}"
    yield f"last pos {inside[-1].pos_}"
    yield from _neighbours(doc, span)
    yield f"role {root.dep_}"
    yield f"head {root.head.lemma_.lower()}"
    yield f"role {root.dep_} of {root.head.lemma_.lower()}"
    yield f"governed by {governor(root)}"
    yield f"list governed by {governor(first_of_list(root))}"
    yield f"verb before {nearest(reversed(doc[max(0, span.start - _REACH) : span.start]), ('VERB',))}"
    yield f"verb after {nearest(doc[span.end : span.end + _REACH], ('VERB', 'AUX'))}"


def _neighbours(doc: "Doc", span: WordSpan) -> Iterator[str]:
    before = [word_at(doc, span.start - distance) for distance in (1, 2, 3)]
    after = [word_at(doc, span.end + distance) for distance in (0, 1, 2)]
    for distance, (left, right) in enumerate(zip(before, after, strict=True)):
        yield f"before {distance} {left}"
        yield f"after {distance} {right}"
    yield f"before {before[1]} {before[0]}"
    yield f"after {after[0]} {after[1]}"
    for side, position in (("before", span.start - 1), ("after", span.end)):
        if 0 <= position < len(doc):
            yield f"pos {side} {doc[position].pos_}"
            yield f"shape {side} {_shape(doc[position])}"


def word_at(doc: "Doc", position: int) -> str:
    """The lemma at a place; also places before and after the text have one."""
    return doc[position].lemma_.lower() if 0 <= position < len(doc) else ("<" if position < 0 else ">")


def governor(token: "Token") -> str:
    """What the word depends on, through a preposition: 'direct by' for the director."""
    head = token.head
    if head.dep_ in ("prep", "agent"):
        return f"{head.head.lemma_.lower()} {head.lower_}"
    return head.lemma_.lower()


def first_of_list(token: "Token") -> "Token":
    """The first of the words listed with it: what governs that one governs all."""
    while token.dep_ in ("conj", "appos") and token.head.i != token.i:
        token = token.head
    return token


def nearest(tokens: "Iterable[Token]", parts_of_speech: Sequence[str]) -> str:
    """The lemma of the first such word."""
    return next((token.lemma_.lower() for token in tokens if token.pos_ in parts_of_speech), "")


def _shape(token: "Token") -> str:
    text = token.text
    if text[0].isdigit():
        return "1"
    if text[0].isupper():
        return "XX" if text.isupper() and len(text) > 1 else "Xx"
    return "x" if text[0].isalpha() else text[0]
