"""How names are written and compared: cleaning, comparison keys, readable ids, dates."""

import re
import unicodedata
from collections.abc import Iterable, Iterator

from beep_orchestration.extraction.demonyms import COUNTRIES
from beep_orchestration.extraction.markup import hidden_stretches
from beep_orchestration.extraction.prose import plain

_LONGEST_ID = 80
_MONTHS = "january february march april may june july august september october november december".split()  # noqa: SIM905
_MONTH = "|".join(f"{name[:3]}(?:{name[3:]})?" for name in _MONTHS)
_DAY_MONTH_YEAR = re.compile(
    rf"(?P<day>\d{{1,2}})(?:st|nd|rd|th)? (?:of )?(?P<month>{_MONTH})\.?,? (?P<year>\d{{3,4}})"
)
_MONTH_DAY_YEAR = re.compile(rf"(?P<month>{_MONTH})\.? (?P<day>\d{{1,2}})(?:st|nd|rd|th)?,? (?P<year>\d{{3,4}})")
_MONTH_YEAR = re.compile(rf"(?P<month>{_MONTH})\.?,? (?:of )?(?P<year>\d{{3,4}})")
_YEAR = re.compile(r"(?:the year )?(?P<year>\d{3,4})")
_PLAIN = re.compile(r"\w+(?:[ .,'’-]\w+)*", re.ASCII)
_COMPANY_SUFFIX = re.compile(
    r",? (?:inc|incorporated|corp|corporation|co|company|ltd|limited|llc|plc|gmbh|ag|sa|s\.a)\.?$"
)
_TITLE = re.compile(
    r"^(?:(?:mr|mrs|ms|miss|dr|prof|professor|sir|lord|lady|dame|president|king|queen|prince|princess|captain|admiral"
    r"|rear admiral|general|colonel|saint|st)\.? )+(?=\S)"
)
_QUOTES = " \t'\"“”‘’«»`.,;:-–—()[]"


def clean_name(text: str) -> str:
    """The name as a person would write it: no markup, no line break, composed accents."""
    prose = text if _PLAIN.fullmatch(text) else plain(text, hidden_stretches(text))
    return unicodedata.normalize("NFC", prose).strip()


def folded(text: str) -> str:
    """Equal for texts that differ only in case, blanks or underscores."""
    return re.sub(r"[\s_]+", "", text).casefold()


def continues_word(text: str, position: int) -> bool:
    """Whether a word goes on across the position; scripts without spaces (Chinese, Japanese) have no such words."""
    around = text[max(0, position - 1) : position + 1]
    if position == 0 or len(around) < 2:  # noqa: PLR2004 - one character on either side
        return False
    is_spaced = all(found.isalnum() and unicodedata.east_asian_width(found) not in ("W", "F") for found in around)
    return is_spaced or unicodedata.combining(around[1]) > 0


def comparison_key(name: str) -> str:
    """Equal for names that differ only in case, quotes or the article."""
    return name.casefold().replace("’", "'").removeprefix("the ").strip(_QUOTES) or name.casefold()


def organization_key(name: str) -> str:
    """As `comparison_key`, without 'Inc.', 'Corporation' and the like."""
    key = comparison_key(name)
    return _COMPANY_SUFFIX.sub("", key) or key


def person_words(name: str) -> tuple[str, ...]:
    """The words of a person's name without titles, folded: ('ada', 'lovelace')."""
    return tuple(_TITLE.sub("", comparison_key(name), count=1).split())


def group_key(name: str) -> str:
    """As `comparison_key`; but 'Briton', 'Britons' and 'British' are one, and not the country."""
    for form in (name, name.removesuffix("s"), name.removesuffix("men") + "man"):
        if form in COUNTRIES:
            return f"people of {COUNTRIES[form].casefold()}"
    return comparison_key(name)


def date_key(name: str) -> str:
    """ISO 8601 for a day, a month or a year in English ('1815-12-10'); other dates as they are written."""
    key = comparison_key(name)
    for pattern in (_DAY_MONTH_YEAR, _MONTH_DAY_YEAR, _MONTH_YEAR, _YEAR):
        found = pattern.fullmatch(key)
        if found:
            return "-".join(_date_parts(found.groupdict()))
    return key


def is_calendar_date(name: str) -> bool:
    """Whether the text names a certain year, month or day ('1815', 'the 1950s'), unlike 'two years later'."""
    return re.search(r"\d{3,4}", name) is not None and re.search(r"\d{3,4} (?:years|months|days|hours)", name) is None


def read_before(predicate: str, name: str) -> str:
    """A predicate as one reads it before that name: 'born on' a day, but 'born in' 1910, March 1910 or the 1910s."""
    is_longer_than_a_day = re.search(r"\b\d{4}(?:s|\b)", name) and not re.search(r"\b\d{1,2}(?:st|nd|rd|th)?\b", name)
    return f"{predicate.removesuffix(' on')} in" if is_longer_than_a_day and predicate.endswith(" on") else predicate


def acronym(name: str) -> str:
    """The initials of the capitalised words, folded: 'ibm' for 'International Business Machines'."""
    return "".join(word[0] for word in re.split(r"[\s\-]+", name) if word[:1].isupper()).casefold()


def readable_ids(names: Iterable[str]) -> Iterator[str]:
    """One id for each name, all different: `ada-lovelace`, then `ada-lovelace-2`; letters of any script are kept."""
    taken: set[str] = set()
    last: dict[str, int] = {}
    for name in names:
        slug = found = _slug(name)
        while found in taken:
            last[slug] = last.get(slug, 1) + 1
            found = f"{slug}-{last[slug]}"
        taken.add(found)
        yield found


def _date_parts(groups: dict[str, str]) -> Iterator[str]:
    yield groups["year"].zfill(4)
    if "month" in groups:
        yield f"{[month[:3] for month in _MONTHS].index(groups['month'][:3]) + 1:02d}"
    if "day" in groups:
        yield groups["day"].zfill(2)


def _slug(name: str) -> str:
    kept = (character if _is_letter(character) else "-" for character in unicodedata.normalize("NFC", name.casefold()))
    return re.sub("-+", "-", "".join(kept))[:_LONGEST_ID].strip("-") or "entity"


def _is_letter(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character).startswith("M")
