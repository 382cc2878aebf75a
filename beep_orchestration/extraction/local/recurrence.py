"""Names that recur: what was recognized once in a chunk is the same name where it was overlooked or mistaken."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from beep_orchestration.extraction.labels import DATES, NUMBERS, ORGANIZATION, PERSON, PLACES, UNKNOWN
from beep_orchestration.extraction.local.name_spans import Named, disjoint
from beep_orchestration.extraction.local.type_words import WORD_LABELS

_WORD = re.compile(r"[^\W\d_][\w'’&./-]*")
_LED_BY = re.compile(r"\b(?:in|at|near|from|to)(?: the)? $")
_INSIDE = re.compile(r"\b(?:in|at|near) $")
_ARTICLE = re.compile(r"\b(?:the|an?) $", re.IGNORECASE)
_CODE_NAME = re.compile(r"[A-Z]{5,}")
_POSSESSIVE = re.compile(r"['’]")
_ROLE = re.compile(r"\b(?P<role>[a-z]+) $")
_SHORTEST = 3


class KnownNames:
    """The names of one chunk, by their first word."""

    def __init__(self, texts: Iterable[tuple[str, Sequence[Named]]]) -> None:
        labels: dict[str, Counter[str]] = defaultdict(Counter)
        with_article = set()
        for text, names in texts:
            for name in names:
                if name.label not in DATES | NUMBERS:
                    labels[text[name.start : name.end]][name.label] += 1
                if name.label == PERSON and _ARTICLE.search(text, max(0, name.start - 5), name.start):
                    with_article.add(text[name.start : name.end])
        self._surnames = _surnames(labels)
        self._things = with_article - self._surnames
        self._labels = {name: counts.most_common(1)[0][0] for name, counts in labels.items() if _is_telling(name)}
        self._labels |= dict.fromkeys(self._surnames, PERSON)
        self._by_first_word = self._index()

    def complete(self, text: str, names: Sequence[Named]) -> list[Named]:
        """The names recognized in a block of the chunk, corrected, and those that recur in it unrecognized."""
        return disjoint([self._corrected(text, name) for name in names], self._recurring(text))

    def _index(self) -> dict[str, list[str]]:
        index: dict[str, list[str]] = defaultdict(list)
        for name in sorted(self._labels, key=lambda known: (-len(known), known)):
            first = _WORD.match(name)
            if first:
                index[first.group()].append(name)
        return index

    def _corrected(self, text: str, name: Named) -> Named:
        """With another label where the words before the name speak against the one that it has."""
        before = text[max(0, name.start - 30) : name.start]
        if name.label in DATES | NUMBERS:
            return name
        words = text[name.start : name.end]
        if name.label == PERSON:
            is_inside = _INSIDE.search(before) and not _POSSESSIVE.match(text, name.end)
            is_thing = words in self._things or _ARTICLE.search(before)
            label = "PRODUCT" if is_thing else UNKNOWN if is_inside else PERSON
            return name._replace(label=label)  # 'the Alto', 'in Pascal'
        if self._is_surname(words, name.label, before) or _follows_role(before, words):
            return name._replace(label=PERSON)
        is_code_name = name.label == ORGANIZATION and _CODE_NAME.fullmatch(words) and _ARTICLE.search(before)
        return name._replace(label="PRODUCT") if is_code_name else name  # 'the ARPANET'

    def _is_surname(self, words: str, label: str, before: str) -> bool:
        """A surname is a person, unless it stands where a place does ('in Washington')."""
        return words in self._surnames and not (label in PLACES and _LED_BY.search(before))

    def _recurring(self, text: str) -> Iterator[Named]:
        for word in _WORD.finditer(text):
            for name in self._by_first_word.get(
                word.group().removesuffix("'s").removesuffix("’s").rstrip(".,'’-/&"), ()
            ):
                end = word.start() + len(name)
                if text.startswith(name, word.start()) and not text[end : end + 1].isalnum():
                    yield Named(word.start(), end, self._labels[name])
                    break


def _follows_role(before: str, name: str) -> bool:
    """'the logician Alonzo Church'."""
    role = _ROLE.search(before)
    return role is not None and WORD_LABELS.get(role["role"]) == PERSON and len(name.split()) > 1


def _surnames(labels: dict[str, Counter[str]]) -> set[str]:
    """Last words of persons' full names, unless something else is called so too ('Ford Motor Company')."""
    people = {
        name.split()[-1] for name, counts in labels.items() if " " in name and counts.most_common(1)[0][0] == PERSON
    }
    others = {
        name.split()[0] for name, counts in labels.items() if " " in name and counts.most_common(1)[0][0] != PERSON
    }
    return {name for name in people - others if len(name) >= _SHORTEST and name[0].isupper() and name.isalpha()}


def _is_telling(name: str) -> bool:
    return len(name) >= _SHORTEST and name[0].isupper() and name != UNKNOWN
