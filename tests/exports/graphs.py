"""Graphs to export: built from named facts, and drawn by Hypothesis."""

import random
import re
from collections import Counter
from collections.abc import Iterable
from datetime import UTC

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from beep_orchestration.extraction.model import (
    Decision,
    Entity,
    Graph,
    GraphStatistics,
    Mention,
    Provenance,
    Relation,
    Review,
    Source,
    Span,
    Triple,
    text_digest,
)

Fact = tuple[str, str, str]

FIFTY = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Examples for each property; how long one takes says nothing about it."""

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
"""Every code point that UTF-8 can hold, controls included."""

HOSTILE = st.sampled_from(
    [
        "</script><img src=x onerror=alert(1)>",
        "<!--<script>",
        "{{script}}",
        "]]>",
        "&amp;",
        "a>b",
        "<http://x> a <y> .",
        'say "hi"',
        'a\n\\"',
        "\\",
        '"""',
        "'; DROP TABLE x;--",
        "%00",
        "a.",
        "[red]bold[/red]",
        "\x1b[2J",
        "\x9b31m",
        "a\x1fb",
        *["مرحبا", "👩🏽\u200d💻", "e\u0301", "a\u2028b", "x\r\ny", "\u202eevil"],
    ]
)
NAMES = ANY_TEXT | HOSTILE
CONFIDENCES = st.floats(min_value=0.0, max_value=1.0)
ACTIVITIES = st.sampled_from([(), ("mentions-0",), ("mentions-2", "mentions-10"), ("entities-0", "relations-1")])


def graph_of(text: str, types: dict[str, str], facts: Iterable[Fact] = (), title: str | None = "A title") -> Graph:
    """Entities wherever their names stand in the text; a fact's evidence is the first sentence with both names."""
    ids = {name: f"entity-{number}" for number, name in enumerate(types)}
    entities = [
        Entity(id=ids[name], name=name, type=kind, aliases=(), mentions=_mentions(text, name), confidence=0.9)
        for name, kind in types.items()
    ]
    relations = [
        Relation(
            subject=ids[left], predicate=what, object=ids[right], confidence=0.8, evidence=_evidence(text, left, right)
        )
        for left, what, right in facts
    ]
    return assembled(text, entities, relations, title=title)


def assembled(
    text: str,
    entities: list[Entity],
    relations: list[Relation],
    *,
    document_id: str = "a-document",
    title: str | None = None,
    provenance: Provenance | None = None,
) -> Graph:
    """The graph with its digest and statistics."""
    stats = GraphStatistics(
        characters=len(text),
        chunks=1,
        mentions=sum(len(entity.mentions) for entity in entities),
        entities=len(entities),
        relations=len(relations),
        entities_by_type=dict(Counter(entity.type for entity in entities)),
        relations_by_predicate=dict(Counter(relation.predicate for relation in relations)),
    )
    return Graph(
        document_id=document_id, title=title, source_uri=None, text_digest=text_digest(text),
        entities=tuple(entities), relations=tuple(relations), stats=stats, provenance=provenance or Provenance(),
    )  # fmt: skip


def _mentions(text: str, name: str) -> tuple[Mention, ...]:
    found = re.finditer(re.escape(name), text)
    return tuple(Mention(start=one.start(), end=one.end(), text=name, label="NAME", confidence=0.7) for one in found)


def _evidence(text: str, left: str, right: str) -> tuple[Span, ...]:
    for sentence in re.finditer(r"[^.]+\.", text):
        if left in sentence[0] and right in sentence[0]:
            blank = len(sentence[0]) - len(sentence[0].lstrip())
            return (Span(start=sentence.start() + blank, end=sentence.end()),)
    return ()


@st.composite
def spans(draw: st.DrawFn, text: str) -> Span:
    """A stretch of the text that is not empty."""
    start = draw(st.integers(0, len(text) - 1))
    return Span(start=start, end=draw(st.integers(start + 1, len(text))))


@st.composite
def entities(draw: st.DrawFn, text: str, entity_id: str) -> Entity:
    """An entity with any name, type and aliases, whose mentions are stretches of the text."""
    places = draw(st.lists(spans(text), min_size=1, max_size=3))
    mentions = [
        Mention(
            start=at.start,
            end=at.end,
            text=text[at.start : at.end],
            label=draw(NAMES),
            confidence=draw(CONFIDENCES),
            found_by=draw(ACTIVITIES),
        )
        for at in places
    ]
    return Entity(
        id=entity_id,
        name=draw(NAMES),
        type=draw(NAMES | st.sampled_from(["Person", "Thing"])),
        aliases=tuple(draw(st.lists(NAMES, max_size=2, unique=True))),
        mentions=tuple(mentions),
        confidence=draw(CONFIDENCES),
        found_by=draw(ACTIVITIES),
    )


REVIEWS = st.builds(
    Review,
    decision=st.sampled_from(Decision),
    by=NAMES,
    at=st.datetimes(timezones=st.just(UTC)),
    entity=st.none() | NAMES,
    relation=st.none() | st.builds(Triple, subject=NAMES, predicate=NAMES, object=NAMES),
    note=st.none() | NAMES,
)


@st.composite
def provenances(draw: st.DrawFn) -> Provenance:
    """Extractors with activities that no other has, and decisions of any content."""
    given = draw(st.lists(st.tuples(NAMES, NAMES | st.just("")), max_size=3, unique=True))
    sources = tuple(
        Source(extractor=extractor, version=version, activities=(f"mentions-{number}",))
        for number, (extractor, version) in enumerate(given)
    )
    return Provenance(sources=sources, reviews=tuple(draw(st.lists(REVIEWS, max_size=2))))


@st.composite
def documents(draw: st.DrawFn) -> tuple[Graph, str]:
    """A graph and its text: any characters everywhere, ids that are unique also where a format replaces controls."""
    text = draw(st.lists(NAMES, min_size=1, max_size=8).map(" ".join))
    ids = draw(st.lists(st.from_regex(r"[\w/ .#\"<-]{1,8}", fullmatch=True), min_size=1, max_size=4, unique=True))
    found = [draw(entities(text, entity_id)) for entity_id in ids]
    ends = st.sampled_from(ids)
    evidence = st.lists(spans(text), max_size=2).map(tuple)
    relation = st.builds(
        Relation,
        subject=ends,
        predicate=NAMES,
        object=ends,
        confidence=CONFIDENCES,
        evidence=evidence,
        found_by=ACTIVITIES,
    )
    relations = draw(st.lists(relation, max_size=4))
    graph = assembled(
        text,
        found,
        relations,
        document_id=draw(NAMES),
        title=draw(st.none() | NAMES),
        provenance=draw(provenances()),
    )
    return graph, text


def large_graph(size: int, relations: int) -> tuple[Graph, str]:
    """As many entities and facts as asked, in groups, with hubs and strays, as real ones have."""
    chance = random.Random(1)  # noqa: S311 - a fixed graph, no secret
    kinds = ["Person", "Organization", "Place", "Date", "Work", "Product", "Event"]
    types = {
        f"{chance.choice(('North', 'South', 'Ada', 'Old'))} {number:05}": chance.choice(kinds) for number in range(size)
    }
    names = list(types)
    facts: set[Fact] = set()
    while len(facts) < relations:
        fact = _neighbours(chance, names)
        facts |= {fact} if fact[0] != fact[2] else set()
    ordered = sorted(facts)
    sentences = [f"{left} is located in {right}.\n" for left, _, right in ordered] + [
        f"{name} was seen.\n" for name in names
    ]
    return _numbered("".join(sentences), sentences, types, ordered)


def _neighbours(chance: random.Random, names: list[str]) -> Fact:
    """Two of the first three quarters: mostly of one group of twenty, now and then of the first group of all."""
    left = int(len(names) * 0.75 * chance.random())
    right = left - left % 20 + int(20 * chance.random() ** 2)
    return names[left], "located in", names[right if chance.random() < 0.93 else int(20 * chance.random() ** 2)]


def _numbered(text: str, sentences: list[str], types: dict[str, str], facts: list[Fact]) -> tuple[Graph, str]:
    """Like graph_of, in one pass: names end in a number, so that they are found without searching for each."""
    found: dict[str, list[Mention]] = {name: [] for name in types}
    for one in re.finditer(r"\w+ \d{5}", text):
        found[one[0]].append(Mention(start=one.start(), end=one.end(), text=one[0], label="NAME", confidence=0.7))
    entities = [
        Entity(id=name, name=name, type=kind, aliases=(), mentions=tuple(found[name]), confidence=0.9)
        for name, kind in types.items()
    ]
    relations, start = [], 0
    for fact, sentence in zip(facts, sentences, strict=False):
        span = Span(start=start, end=start + len(sentence) - 1)
        relations.append(Relation(subject=fact[0], predicate=fact[1], object=fact[2], confidence=0.8, evidence=(span,)))
        start += len(sentence)
    return assembled(text, entities, relations, title=f"{len(entities):,} entities"), text
