"""Who found what: facts name the activity that found them, and the graph says which extractor ran it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from beep_orchestration.extraction.model import Entity, Mention, Relation, Source

Fact = TypeVar("Fact", Mention, Entity, Relation)


def activity_name(stage: str, number: int) -> str:
    """What the activity at that place among its kind is called: `mentions-0`, `mentions-1`, ..."""
    return f"{stage}-{number}"


def attributed(stage: str, parts: Sequence[Sequence[Fact]]) -> list[Fact]:
    """The facts of all parts in their order, each naming the activity that its part came from, by the part's place.

    A fact that names an activity already keeps it. So do an entity's mentions; those that the classifier added are its
    own.
    """
    return [
        fact if fact.found_by else _found_by(fact, activity_name(stage, number))
        for number, part in enumerate(parts)
        for fact in part
    ]


def merged(found_by: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """The activities that found the same fact, each once, `mentions-2` before `mentions-10`."""
    return tuple(sorted({name for names in found_by for name in names}, key=activity_order))


def sources(facts: Iterable[Entity | Relation], identities: Mapping[str, str]) -> tuple[Source, ...]:
    """The extractors that found these facts and their mentions, by the identities of all activities.

    An identity is an extractor's name, a space, and its version. Linear in the facts; activities whose facts were all
    merged away or dropped are left out.
    """
    activities: dict[str, list[str]] = defaultdict(list)
    for name in merged(_names(facts)):
        if name in identities:
            activities[identities[name]].append(name)
    return tuple(_source(identity, names) for identity, names in activities.items())


def activity_order(name: str) -> tuple[str, int]:
    """Sorts `mentions-2` before `mentions-10`."""
    kind, _, number = name.rpartition("-")
    return (kind, int(number)) if number.isdecimal() else (name, 0)


def _found_by(fact: Fact, activity: str) -> Fact:
    update: dict[str, object] = {"found_by": (activity,)}
    if isinstance(fact, Entity):
        update["mentions"] = tuple(
            mention if mention.found_by else mention.model_copy(update={"found_by": (activity,)})
            for mention in fact.mentions
        )
    return fact.model_copy(update=update)


def _names(facts: Iterable[Entity | Relation]) -> Iterator[tuple[str, ...]]:
    for fact in facts:
        yield fact.found_by
        if isinstance(fact, Entity):
            yield from (mention.found_by for mention in fact.mentions)


def _source(identity: str, activities: list[str]) -> Source:
    name, _, version = identity.partition(" ")
    return Source(extractor=name, version=version, activities=tuple(activities))
