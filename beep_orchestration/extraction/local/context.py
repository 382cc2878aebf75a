"""What the words around a name tell of its type: what it is called, and what is done with it."""

import re
from collections.abc import Iterator

from beep_orchestration.extraction.markup import breaks_text, hidden_stretches
from beep_orchestration.extraction.model import Mention

_WINDOW = 100
_CLOSE = r"['\"”’)]{0,2}(?: \([^)]{0,60}\))?"
_IS_A = re.compile(
    rf"{_CLOSE},? (?:is|was|were|are|became|remains) (?:an?|the|one of the) (?P<phrase>[^.;:,()]{{1,80}})"
)
_APPOSITION = re.compile(rf"{_CLOSE}, (?:an?|the|one of the|his|her) (?P<phrase>[^.;:,()]{{1,80}})")
_FOLLOWED_BY = re.compile(
    r" (?P<phrase>(?:programming |computer )?language|operating system|(?:computer )?conference|prize|award|medal"
    r"|compiler)\b"
)
_PRECEDED_BY = re.compile(
    r"(?P<phrase>[a-z][a-z-]+(?: [a-z][a-z-]+)?)(?:,? (?:called|named|titled|entitled|known as))?,? [\"'“‘]?$"
)
_PHRASE_END = re.compile(
    r"\b(?:of|for|that|which|who|whose|by|in|on|at|to|from|with|and|or|where|when|used|written|developed|designed"
    r"|based|built)\b"
)

_SAID_AFTER = {
    "PERSON": (
        r"['’]s? (?:wife|husband|son|daughter|father|mother|brother|sister|colleague|assistant|student)\b"
        r"| (?:(?:had|was|later|also|then|soon|never|first) ){0,3}(?:born|died|married|studied|graduated|wrote|taught"
        r"|thought|argued|learned|learnt|knew|met|proposed|suggested|realized|realised|described|invented|attended"
        r"|retired)\b"
        r"| and (?:his|her) \w"
    ),
    "ORG": r" (?:acquired|bought|hired|employed|shipped|marketed|licensed|manufactured)\b",
    "PRODUCT": (
        r" (?:was|were|is|had been) (?:\w+ly |first |finally |never |not )?(?:designed|built|developed|programmed"
        r"|constructed|invented|dismantled|switched|installed|completed|delivered)\b"
        r"| (?:ran|runs|weighed|contained|consisted)\b"
    ),
}
_SAID_BEFORE = {
    "PERSON": r"\b(?:born|Dr|Mr|Mrs|Ms|Sir|Professor|Admiral|Captain|Lord|Lady)\.? ",
    "ORG": (
        r"\b(?:join(?:ed|ing)?|works? for|worked for|working for|acquired by|bought by|founders? of|founded|hired by"
        r"|employed by"
        r"|president of|director of|chairman of|employees? of|engineers? at|job at|merged with|subsidiary of"
        r"|taken over by|sold to)(?: the)? "
    ),
    "PRODUCT": (
        r"\b(?:design|designed|build|built|programmed|program|constructed|invented|produced|released|introduced|running"
        r"|ported|programmers? of|programs? for|versions? of|copies of|distributors? of|releases? of|users? of)"
        r"(?: the| a)? "
    ),
    "LANGUAGE": r"\b(?:written|programmed|programs?|programming|code|compilers?) (?:in|for) ",
    "GPE": (
        r"\b(?:born (?:in|at|near)|died (?:in|at|near)|lived (?:in|at|near)|moved to|emigrated to|city of|town of"
        r"|village of|settled in|educated in|north of|south of|east of|west of|near) "
        r"|\b(?:in|at|near|from|to|of) [A-Z][\w'-]+(?: [A-Z][\w'-]+)?, "
    ),
}
_AFTER = {concept: re.compile(said) for concept, said in _SAID_AFTER.items()}
_BEFORE = {concept: re.compile(f"(?:{said})$") for concept, said in _SAID_BEFORE.items()}


def surroundings(text: str, mention: Mention) -> tuple[str, str]:
    """The text before and after a mention, as one line each, without markup."""
    begin, end = max(mention.start - _WINDOW, 0), min(mention.end + _WINDOW, len(text))
    hidden = [(begin + start, begin + stop) for start, stop in hidden_stretches(text[begin:end])]
    return _one_line(text, begin, mention.start, hidden), _one_line(text, mention.end, end, hidden)


def phrases_for(before: str, after: str) -> Iterator[str]:
    """What the thing between is called: 'first compiler' ('X was the first compiler'), 'programming language'."""
    for pattern in (_IS_A, _APPOSITION, _FOLLOWED_BY):
        found = pattern.match(after)
        if found:
            yield _PHRASE_END.split(found["phrase"])[0]
    preceding = _PRECEDED_BY.search(before)
    if preceding:
        yield preceding["phrase"]


def concepts_by_use(before: str, after: str) -> Iterator[str]:
    """The coarse types of things that such words are said of: people are born, machines are built."""
    yield from (concept for concept, pattern in _AFTER.items() if pattern.match(after))
    yield from (concept for concept, pattern in _BEFORE.items() if pattern.search(before))


def _one_line(text: str, start: int, end: int, hidden: list[tuple[int, int]]) -> str:
    """`text[start:end]` without the stretches that are hidden in it."""
    parts: list[str] = []
    position = start
    for first, last in hidden:
        if start <= first and last <= end:
            parts += text[position:first], " " if breaks_text(text[first:last]) else ""
            position = last
    return re.sub(r"\s+", " ", "".join((*parts, text[position:end])))
