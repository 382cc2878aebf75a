"""Repairs of single recognized names: cut where two things were run together, and trimmed to the name itself."""

import re
from collections.abc import Iterator

from beep_orchestration.extraction.demonyms import COUNTRIES
from beep_orchestration.extraction.labels import DATES, NUMBERS, ORGANIZATION, PERSON, UNKNOWN
from beep_orchestration.extraction.local.name_spans import Named
from beep_orchestration.extraction.local.type_words import LABEL_WORDS
from beep_orchestration.extraction.local.word_lists import words

_LONGEST_WORD = 64
_TITLED = frozenset({"WORK_OF_ART", "EVENT", "LAW"})
_ARTICLE = re.compile(r"(?:the|a|an|this|that|its|his|her|their|our|my)\s+", re.IGNORECASE)
_POSSESSIVE = re.compile(r"\s*['’]s?$")
_LEADING = " \t'\"“”‘’«»`.,;:!?-–—*_|/\\=+>})]"
_TRAILING = " \t'\"“”‘’«»`,;:!?-–—*_|/\\=+<{(["
_DANGLING = re.compile(r"\s+(?:of|at|in|and|for|the|on|to|&|by|with|from|a|an|or)$")
_SEAM = re.compile(
    r"\s+(?P<word>in|on|by|from|with|to|at|as|under|who|which|that|when|where|was|is|were|had)\s+|(?<=[a-z]{3})\.\s+|[;:]\s+"
)
_SEAM_OF_TITLES = re.compile(r"\s+(?:published|wrote|released|printed)\s+")
_AND = re.compile(r",?\s+and\s+|,\s+")
_JOINABLE = frozenset({PERSON, "GPE", "LOC"})
_NEXT_LABEL = {"in": "GPE", "at": "ORG"}
_TITLES = frozenset(
    words("earl duke lord lady sir king queen prince princess count countess baron president professor admiral dr mr")
)
_MONTHS = (
    "January|February|March|April|May|June|July|August|September|October|November|December"
    "|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec"
)
CALENDAR_DATE = re.compile(
    rf"(?:\d{{1,2}}(?:st|nd|rd|th)?\s(?:of\s)?(?:{_MONTHS})\.?,?\s\d{{3,4}}"
    rf"|(?:{_MONTHS})\.?\s\d{{1,2}}(?:st|nd|rd|th)?\s?,?\s\d{{3,4}}"
    rf"|(?:{_MONTHS})\.?,?\s(?:of\s)?\d{{3,4}}"
    r"|\b[12]\d{3}s?)(?!\d)"
)
_WORDS_OF_TIME = re.compile(
    r"\d|\b(?:day|week|month|year|decade|century|centurie|morning|evening|afternoon|noon|night|hour|minute|second|spring"
    r"|summer|autumn|winter|fall|season|today|tomorrow|recent|ago|age|later|era|annual|quarter|time|period|weekend|date"
    rf"|past|now|early|late|{_MONTHS}|Christmas|Easter|eve|mid|\w+day)s?\b",
    re.IGNORECASE,
)
_TIME_THEN_NAME = re.compile(
    r"(?P<time>.*\b(?:day|week|month|year|decade|century|spring|summer|autumn|winter)s?),? (?P<name>[A-Z].*)"
)
_ORGANIZATION_WORDS = frozenset(LABEL_WORDS["ORG"])


def repaired(text: str, name: Named) -> Iterator[Named]:
    """The names in what was recognized as one, trimmed; none if nothing is left of it."""
    for piece in _pieces(text, name):
        trimmed = _trimmed(text, piece)
        if _is_name(text[trimmed.start : trimmed.end]):
            yield trimmed


def _is_name(words: str) -> bool:
    """Has a letter or digit, is more than a title, and no word of it is longer than any word."""
    return (
        any(character.isalnum() for character in words)
        and words.casefold() not in _TITLES
        and max(map(len, words.split())) <= _LONGEST_WORD
    )


def _pieces(text: str, name: Named) -> Iterator[Named]:
    words = text[name.start : name.end]
    if name.label in DATES:
        yield from _dates(name, words)
    elif CALENDAR_DATE.fullmatch(words) and not words.isdigit():
        yield name._replace(label="DATE")
    elif name.label in _TITLED:
        seam = _SEAM_OF_TITLES.search(words)
        yield name._replace(end=name.start + seam.start()) if seam else name
    elif name.label in NUMBERS:
        yield name
    elif words.startswith(("USS ", "HMS ")):
        yield name._replace(label="PRODUCT")
    elif name.label == ORGANIZATION and words in COUNTRIES:
        yield name._replace(label="NORP")
    else:
        yield from _cut(text, name)


def _dates(name: Named, words: str) -> Iterator[Named]:
    """'1959 to 1963' are two dates; 'Alan Turing and Bletchley Park' is none."""
    found = list(CALENDAR_DATE.finditer(words))
    if len(found) > 1:
        yield from (Named(name.start + date.start(), name.start + date.end(), name.label) for date in found)
    elif not found and (both := _TIME_THEN_NAME.fullmatch(words)):
        yield name._replace(end=name.start + both.end("time"))
        yield Named(name.start + both.start("name"), name.end, UNKNOWN)
    elif _WORDS_OF_TIME.search(words):
        yield (
            name._replace(end=name.start + found[0].end())
            if found and not _WORDS_OF_TIME.search(words[found[0].end() :])
            else name
        )
    elif words[:1].isupper():
        yield name._replace(label=UNKNOWN)


def _cut(text: str, name: Named) -> Iterator[Named]:
    start, label = name.start, name.label
    for seam in _SEAM.finditer(text, name.start, name.end):
        if _holds(text[start : seam.start()], seam["word"]):
            continue
        yield from _cut_lists(text, Named(start, seam.start(), label))
        start, label = seam.end(), _NEXT_LABEL.get(seam["word"], UNKNOWN)
    if start < name.end and (text[start].isupper() or start == name.start):
        yield from _cut_lists(text, Named(start, name.end, label))


def _holds(left: str, word: str | None) -> bool:
    """'University of Illinois at Urbana' and 'Prize in Physics' are one name, 'Church at Princeton' is not."""
    words = frozenset(left.casefold().split())
    if len(words) == 1:
        return False
    return (word == "at" and not words.isdisjoint(_ORGANIZATION_WORDS)) or (
        word == "in" and not words.isdisjoint(LABEL_WORDS["AWARD"])
    )


def _cut_lists(text: str, name: Named) -> Iterator[Named]:
    start = name.start
    if name.label in _JOINABLE:
        for seam in _AND.finditer(text, name.start, name.end):
            yield name._replace(start=start, end=seam.start())
            start = seam.end()
    yield name._replace(start=start)


def _trimmed(text: str, name: Named) -> Named:
    """Without article, possessive, quotes, dangling words, and a bracket whose other half is outside."""
    start, end = name.start, name.end
    article = None if name.label in _TITLED and text[start : start + 2] != "th" else _ARTICLE.match(text, start, end)
    if article:
        start = article.end()
    possessive = None if name.label in DATES | NUMBERS else _POSSESSIVE.search(text[start:end])
    if possessive:
        end = start + possessive.start()
    dangling = _DANGLING.search(text[start:end])
    if dangling:
        end = start + dangling.start()
    start += len(text[start:end]) - len(text[start:end].lstrip(_LEADING))
    end -= len(text[start:end]) - len(text[start:end].rstrip(_TRAILING))
    return _without_open_bracket(text, name._replace(start=start, end=end))


def _without_open_bracket(text: str, name: Named) -> Named:
    words = text[name.start : name.end]
    if words.count("(") > words.count(")"):
        return name._replace(end=name.start + len(words[: words.rfind("(")].rstrip()))
    return name
