"""Names that their looks give away: quoted titles, names with an acronym beside them, numbered models, 'von' names."""

import re
from collections.abc import Iterator, Sequence

from beep_orchestration.extraction.labels import DATES, NUMBERS, ORGANIZATION, PERSON, UNKNOWN
from beep_orchestration.extraction.local.name_parts import CALENDAR_DATE
from beep_orchestration.extraction.local.name_spans import Named, Taken
from beep_orchestration.extraction.local.word_lists import words

_QUOTED = re.compile(r"[\"“«](?P<title>[A-Z0-9][^\"“”«»]{3,150})[\"”»]")
_SMALL_WORDS = frozenset(
    words("a an and as at but by for from in into nor of on or so the to up with le la de der die das")
)
_MOST_SMALL = 0.34
_ACRONYM = re.compile(r"(?<=\s)\((?P<acronym>[A-Z][A-Za-z0-9&./-]{1,9})\)")
_WORD = re.compile(r"[^\s()\[\]\"“”]+")
_MODEL = re.compile(
    r"\b(?:[A-Z][A-Za-z]*[-/]\d[\w/]*"
    r"|(?:[A-Z]{2,}|[A-Z][a-z]+)(?: [A-Z][a-z]+)? Mark (?:[IVX]+|\d+)"
    r"|[A-Z]{2,} (?!1[5-9]\d\d\b|20\d\d\b)\d{2,4}[A-Z]?)\b"
)
_NAMED_WORK = re.compile(
    r"\b(?:autobiography|book|paper|novel|memoirs?|essay|treatise|textbook|monograph|poem|film|album|play),?"
    r" (?:called |titled |entitled )?"
    r"(?P<title>[A-Z][\w'’-]*(?: (?:(?:a|an|and|for|from|in|of|on|the|to|with) ){0,3}[A-Z][\w'’-]*){1,9})"
)
_LETTER = re.compile(
    r"\b(?:language|called|named) (?P<after>[A-Z](?:\+\+|\#)?)(?![\w'’])"
    r"|(?<![.\w'’])(?P<before>[A-Z](?:\+\+|\#)?)(?= (?:programming )?language\b)"
)
_CAPITALS = re.compile(r"(?<![\w-])[A-Z]{3,}(?:-[A-Z]{2,})*(?![\w-])")
_MOST_CAPITALS = 0.3  # of the letters; above it the text shouts, and capitals mean nothing
_AND_BEFORE = re.compile(r"(?<![A-Za-z-])(?<![A-Z][a-z] )(?P<other>[A-Z][a-z]{3,}) and $")
_CAPITALISED = re.compile(r" [A-Z][a-z]+")
_TITLED_PERSON = re.compile(
    r"\b(?:Lord|Lady|Sir|Dame|Dr|Mr|Mrs|Ms|Professor|Admiral|Captain|Countess|Baron|Baroness)\.?"
    r" [A-Z][a-z]+(?: [A-Z][a-z]+)?\b"
)
_PARTICLE = re.compile(r"\b(?:(?:von|van|de|der|den|la|le|du|di|da|dos|al|bin|ibn|ten|ter)\s+)+$", re.IGNORECASE)


def shaped(text: str, recognized: Sequence[Named]) -> list[Named]:
    """Names by their shape, given the (disjoint) recognized ones; where both overlap, these are the better reading."""
    taken = Taken(recognized)
    return [
        *_titles(text),
        *_letters(text),
        *_defined(text, taken),
        *_models(text, taken),
        *_dates(text),
        *_titled(text, taken),
        *_joined(text, recognized),
        *_capitals(text, taken),
        *_coordinated(text, recognized, taken),
    ]


def _titles(text: str) -> Iterator[Named]:
    for found in _QUOTED.finditer(text):
        title = found["title"].rstrip(" ,.;:")
        if _is_title(title):
            yield Named(found.start("title"), found.start("title") + len(title), "WORK_OF_ART")

    for found in _NAMED_WORK.finditer(text):
        yield Named(found.start("title"), found.end("title"), "WORK_OF_ART")


def _letters(text: str) -> Iterator[Named]:
    """Languages with names as short as 'C'."""
    for found in _LETTER.finditer(text):
        kind = "after" if found["after"] else "before"
        yield Named(found.start(kind), found.end(kind), "LANGUAGE")


def _is_title(text: str) -> bool:
    """Two words or more, the important ones capitalised."""
    words = [word for word in text.split() if word.casefold() not in _SMALL_WORDS]
    small = sum(not word[0].isupper() and not word[0].isdigit() for word in words)
    return len(text.split()) > 1 and len(words) > 0 and small <= _MOST_SMALL * len(words) and text[-1] not in "!?"


def _defined(text: str, taken: Taken) -> Iterator[Named]:
    """'International Business Machines (IBM)': both the long form and the acronym.

    The rule of Schwartz and Hearst, "A simple algorithm for identifying abbreviation definitions" (2003).
    """
    for found in _ACRONYM.finditer(text):
        acronym = found["acronym"]
        start = _start_of_long_form(text, found.start(), acronym)
        if start is None or sum(character.isupper() for character in acronym) < 2:  # noqa: PLR2004 - an acronym
            continue
        label = _label_of(taken.within(start, found.end()))
        yield Named(start, found.start() - 1, label)
        yield Named(found.start("acronym"), found.end("acronym"), label)


def _start_of_long_form(text: str, end: int, acronym: str) -> int | None:
    letters = [character.casefold() for character in acronym if character.isalnum()]
    window = max(0, end - 120)
    words = list(_WORD.finditer(text, window, end))[-min(len(letters) + 5, len(letters) * 2) :]
    position = end
    for index in range(len(letters) - 1, -1, -1):
        position = _find_back(text, letters[index], position, words[0].start() if words else end, at_word=index == 0)
        if position < 0:
            return None
    return position if text[position].isupper() and end - position > len(acronym) + 1 else None


def _find_back(text: str, letter: str, before: int, first: int, *, at_word: bool) -> int:
    for position in range(before - 1, first - 1, -1):
        if text[position].casefold() == letter and (not at_word or position == 0 or not text[position - 1].isalnum()):
            return position
    return -1


def _label_of(inside: Sequence[Named]) -> str:
    """An organization, unless all that was recognized in it is another kind of thing (not a person or a number)."""
    labels = {name.label for name in inside} - {PERSON, UNKNOWN} - DATES - NUMBERS
    return min(labels) if labels and ORGANIZATION not in labels else ORGANIZATION


def _models(text: str, taken: Taken) -> Iterator[Named]:
    for found in _MODEL.finditer(text):
        over = taken.within(found.start(), found.end())
        if not any(name.start <= found.start() and name.end > found.end() for name in over):
            yield Named(found.start(), found.end(), "PRODUCT")


def _dates(text: str) -> Iterator[Named]:
    """Days and months of a year, which are sometimes recognized in part only; a bare year may be a number."""
    found = (date for date in CALENDAR_DATE.finditer(text) if " " in date.group())
    return (Named(date.start(), date.end(), "DATE") for date in found)


def _titled(text: str, taken: Taken) -> Iterator[Named]:
    """'Lord Byron', where that was overlooked."""
    for found in _TITLED_PERSON.finditer(text):
        if taken.is_free(found.start(), found.end()):
            yield Named(found.start(), found.end(), PERSON)


def _capitals(text: str, taken: Taken) -> Iterator[Named]:
    """'FLOW-MATIC': what is written in capitals throughout, and was not recognized."""
    if sum(character.isupper() for character in text) > _MOST_CAPITALS * len(text):
        return
    for found in _CAPITALS.finditer(text):
        if taken.is_free(found.start(), found.end()):
            yield Named(found.start(), found.end(), UNKNOWN)


def _coordinated(text: str, recognized: Sequence[Named], taken: Taken) -> Iterator[Named]:
    """'Eckert and Mauchly': beside a surname stands a surname."""
    for name in recognized:
        if name.label != PERSON or " " in text[name.start : name.end]:
            continue
        other = _AND_BEFORE.search(text, max(0, name.start - 40), name.start)
        if other and taken.is_free(*other.span("other")):
            yield Named(*other.span("other"), PERSON)


def _joined(text: str, recognized: Sequence[Named]) -> Iterator[Named]:
    """'von' + 'Neumann', 'Polish' + 'Cipher Bureau', and 'Lucasian Professor', which is no nationality."""
    starts = {name.start: name for name in recognized}
    for name in recognized:
        particle = _PARTICLE.search(text, max(0, name.start - 20), name.start) if name.label == PERSON else None
        if particle:
            yield name._replace(start=particle.start())
        if name.label == "NORP":
            yield from _with_next(text, name, starts.get(name.end + 1))


def _with_next(text: str, demonym: Named, following: Named | None) -> Iterator[Named]:
    if following is not None and following.label == ORGANIZATION:
        yield following._replace(start=demonym.start)
    word = _CAPITALISED.match(text, demonym.end)
    if following is None and word:
        yield Named(demonym.start, word.end(), UNKNOWN)
