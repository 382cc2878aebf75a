"""What the words around a name tell of its type: what it is called, and what is done with it."""

import re
from collections.abc import Iterator

from beep_orchestration.extraction.model import Mention

_WINDOW = 100
_CLOSE = r"['\"”’)]{0,2}(?: \([^)]{0,60}\))?"
_IS_A = re.compile(rf"{_CLOSE},? (?:is|was|were|are|became|remains) (?:an?|the|one of the) (?P<phrase>[^.;:,()]{{1,80}})")
_APPOSITION = re.compile(rf"{_CLOSE}, (?:an?|the|one of the|his|her) (?P<phrase>[^.;:,()]{{1,80}})")
_FOLLOWED_BY = re.compile(
    r" (?P<phrase>(?:programming |computer )?language|operating system|(?:computer )?conference|prize|award|medal|compiler)\b"
)
_PRECEDED_BY = re.compile(r"(?P<phrase>[a-z][a-z-]+(?: [a-z][a-z-]+)?)(?:,? (?:called|named|titled|entitled|known as))?,? [\"'“‘]?$")
_PHRASE_END = re.compile(
    r"\b(?:of|for|that|which|who|whose|by|in|on|at|to|from|with|and|or|where|when|used|written|developed|designed|based|built)\b"
)
_MADE = r"(?:designed|built|developed|programmed|constructed|invented|dismantled|switched|installed|completed|delivered)"
_USED_AS = (
    ("PERSON", None, re.compile(r"['’]s? (?:wife|husband|son|daughter|father|mother|brother|sister|colleague|assistant|student)\b")),
    ("PERSON", None, re.compile(r",? (?:(?:had|was|later|also|then|soon|never|first) ){0,3}(?:born|died|married|studied|graduated|wrote"
     r"|taught|thought|argued|learned|learnt|knew|met|proposed|suggested|realized|realised|described|invented|attended|retired)\b")),
    ("PERSON", None, re.compile(r" and (?:his|her) \w+\b")),
    ("PERSON", re.compile(r"\b(?:Dr|Mr|Mrs|Ms|Sir|Professor|Admiral|Captain|Lord|Lady)\.? $"), None),
    ("ORG", None, re.compile(r" (?:acquired|bought|hired|employed|shipped|marketed|licensed|manufactured)\b")),
    ("ORG", re.compile(r"\b(?:joined|works? for|worked for|working for|acquired by|bought by|founders? of|founded|hired by|employed by"
     r"|president of|director of|chairman of|employees? of|engineers? at|job at|merged with|subsidiary of|taken over by|sold to)"
     r"(?: the)? $"), None),
    ("PRODUCT", None, re.compile(rf" (?:was|were|is|had been) (?:\w+ly |first |finally |never |not )?{_MADE}\b")),
    ("PRODUCT", None, re.compile(r" (?:ran|runs|weighed|contained|consisted)\b")),
    ("PRODUCT", re.compile(r"\b(?:design|designed|build|built|programmed|program|constructed|invented|versions? of|copies of|distributors? of|releases? of|users? of|running|ported)"
     r"(?: the| a)? $"), None),
    ("LANGUAGE", re.compile(r"\b(?:written|programmed|programs?|programming|code|compilers?) (?:in|for) $"), None),
    ("GPE", re.compile(r"\b(?:born (?:in|at|near)|died (?:in|at|near)|lived (?:in|at|near)|moved to|emigrated to|city of|town of"
     r"|village of|settled in|educated in|north of|south of|east of|west of|near) $"), None),
    ("GPE", re.compile(r"\b(?:in|at|near|from|to|of) [A-Z][\w'-]+(?: [A-Z][\w'-]+)?, $"), None),
)  # fmt: skip


def surroundings(text: str, mention: Mention) -> tuple[str, str]:
    """The text before and after a mention, as one line each, without emphasis."""
    before = _one_line(text[max(mention.start - _WINDOW, 0) : mention.start])
    return before, _one_line(text[mention.end : mention.end + _WINDOW])


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
    for concept, leading, following in _USED_AS:
        if (leading and leading.search(before)) or (following and following.match(after)):
            yield concept


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("*", "").replace("_", ""))
