"""Where in a text a name stands that a language model gave: exactly, or but for case, blanks and Unicode's variants."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import NamedTuple

from beep_orchestration.extraction.names import continues_word

_VARIANTS = str.maketrans(dict.fromkeys("‘’‛ʼ`´", "'") | dict.fromkeys("“”„«»", '"') | dict.fromkeys("‐‑‒–—―−", "-"))
_LEFT_OUT = frozenset({"Mn", "Me", "Cf"})  # accents and other marks, and what is invisible
_DRESSING = re.compile(r"^(?:the|a|an)\s+|['’]s?$", re.IGNORECASE)
_EDGES = " \t\r\n.,;:!?\"'“”‘’()[]{}<>*_`"


class Place(NamedTuple):
    """`text[start:end]`; `is_exact` tells whether it is the name letter by letter."""

    start: int
    end: int
    is_exact: bool


class AlignedText:
    """A text in which names are looked up."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._folded, self._starts, self._ends = _fold(text)

    def find(self, name: str) -> list[Place]:
        """All places of a name, in order, as whole words; without its article, quotes and the like if need be.

        Exact places come before all others: if the name stands in the text as it was given, nothing else is meant. If
        it stands nowhere as whole words, a word may also end between digits and letters ('M113' in 'M113s'), but not
        for a name without letters: the 1990s are not 1990.
        """
        exact = [Place(start, end, is_exact=True) for start, end in _occurrences(self._text, name, continues_word)]
        bare = _bare(name)
        return (
            exact
            or self._find_folded(name, continues_word)
            or self._find_folded(bare, continues_word)
            or (self._find_folded(bare, _continues_word_or_number) if any(map(str.isalpha, bare)) else [])
        )

    def _find_folded(self, name: str, continues: "_Continues") -> list[Place]:
        folded, _, _ = _fold(name)
        folded = folded.strip()
        return [
            Place(self._starts[start], self._ends[end - 1], is_exact=False)
            for start, end in _occurrences(self._folded, folded, continues)
        ]


def _fold(text: str) -> tuple[str, list[int], list[int]]:
    """Case, compatibility variants, accents, quotes, dashes and white space folded; where each character came from.

    NFKD and full case folding: Unicode Standard, sections 3.11 and 3.13; character by character, so that each knows its
    place. A mark that is left out belongs to the place of the character that bears it. Blanks beside punctuation are
    left out: texts that were cut into words have them ('Mike 's', 'Hell : Verse'), and models write names without.
    """
    folded: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for index, character in enumerate(text):
        for new in unicodedata.normalize("NFKD", character).casefold().translate(_VARIANTS):
            blank = new.isspace()
            if unicodedata.category(new) in _LEFT_OUT or (blank and folded and folded[-1] == " "):
                ends[-1:] = [index + 1] if ends else []
            elif not (blank and folded and _is_punctuation(folded[-1])):
                if _is_punctuation(new) and folded and folded[-1] == " ":
                    del folded[-1], starts[-1], ends[-1]
                folded.append(" " if blank else new)
                starts.append(index)
                ends.append(index + 1)
    return "".join(folded), starts, ends


def _is_punctuation(character: str) -> bool:
    return unicodedata.category(character).startswith("P")


_Continues = Callable[[str, int], bool]


def _occurrences(text: str, name: str, continues: _Continues) -> Iterator[tuple[int, int]]:
    start = text.find(name) if name.strip() else -1
    while start >= 0:
        end = start + len(name)
        if not continues(text, start) and not continues(text, end):
            yield start, end
            start = text.find(name, end)
        else:
            start = text.find(name, start + 1)


def _continues_word_or_number(text: str, position: int) -> bool:
    """As `continues_word`, but for a place between a digit and a letter."""
    return continues_word(text, position) and text[position - 1].isdecimal() == text[position].isdecimal()


def _bare(name: str) -> str:
    return _DRESSING.sub("", name.strip(_EDGES)).strip(_EDGES)
