"""Which mentions name the same thing.

1. The same place in the document, found in two overlapping chunks, is one mention (the longest wins).
2. Mentions with the same name and kind are one candidate; with the same name and different kinds they are two
   (Washington the person and the city) unless one kind is rare enough to be a labelling slip; what was labelled so
   only once is one, but for places and titles.
3. A surname or first name belongs to the one person in the document who has it, or to the first of several if the
   others are mentioned once only; an acronym to the one name that it abbreviates; an organization's short name to the
   one that it shortens. Else nothing is guessed and it stays by itself.
4. Of what was typed, entities with the same name and type are one: their mentions had different kinds by mistake.

Every step looks names up in dictionaries: time grows with the number of mentions, not with its square.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from beep_orchestration.extraction.labels import ORGANIZATION, PERSON, kind_of
from beep_orchestration.extraction.model import Candidate, Entity, Mention
from beep_orchestration.extraction.names import (
    acronym,
    clean_name,
    comparison_key,
    date_key,
    group_key,
    organization_key,
    person_words,
    readable_ids,
)
from beep_orchestration.extraction.provenance import activity_order, merged

Group = tuple[str, str]
"""A kind and a comparison key: the mentions that step 2 puts together."""

_SLIP = 3  # a kind is a labelling slip if another has at least this many times its mentions
_CONFUSED = frozenset({"organization", "made"})  # 'ENIAC' or 'Unix': labelled as either, and hardly ever both
_TAKEN_FOR = frozenset({"organization", "made", "unknown", "place"})
_LIKELY, _SURE = 0.7, 0.8  # confidence of a place that may be, or is, where only places can be
_SHORTEST_ACRONYM = 2
_NAMED_AFTER_PEOPLE = (" award", " prize", " medal")
_GENERATIONS = frozenset(("jr", "sr", "ii", "iii", "iv"))
_SMALL_WORDS = frozenset(("of", "for", "the", "and", "at", "in"))
_INSTITUTION_WORDS = {
    "college": "college",
    "university": "university",
    "school": "school",
    "institute": "institute",
    "laboratory": "laboratory",
    "laboratories": "laboratory",
    "lab": "laboratory",
    "labs": "laboratory",
    "museum": "museum",
}


def resolve(mentions: Iterable[Mention]) -> list[Candidate]:
    """Group the mentions of all chunks into candidates, ordered by first mention. Each mention is in exactly one.

    Deterministic: the order and duplication of the input change nothing.
    """
    groups = _by_name(_disjoint(mentions))
    _merge_slips(groups)
    things = _merge_aliases(groups)
    found = sorted(
        (sorted(members, key=_position) for members in things.values()), key=lambda members: _position(members[0])
    )
    names = [_best_name(members) for members in found]
    return [
        Candidate(key=key, name=name, aliases=_aliases(name, members), mentions=tuple(members))
        for key, name, members in zip(readable_ids(names), names, found, strict=True)
    ]


def united(entities: Iterable[Entity]) -> list[Entity]:
    """Those with the same name and type put together, under the id of the first; the others as they are.

    What is put together has all the mentions and aliases, the highest confidence, and names all that found it.
    """
    same: dict[tuple[str, str], list[Entity]] = defaultdict(list)
    for entity in entities:
        same[entity.type, comparison_key(entity.name)].append(entity)
    return [found[0] if len(found) == 1 else _one_of(found) for found in same.values()]


def _one_of(same: Sequence[Entity]) -> Entity:
    first = same[0]
    return first.model_copy(
        update={
            "aliases": tuple(sorted({name for found in same for name in (found.name, *found.aliases)} - {first.name})),
            "mentions": tuple(sorted((mention for found in same for mention in found.mentions), key=_position)),
            "confidence": max(found.confidence for found in same),
            "found_by": merged(found.found_by for found in same),
        }
    )


def _position(mention: Mention) -> tuple[int, int]:
    return mention.start, mention.end


def _disjoint(mentions: Iterable[Mention]) -> Iterator[Mention]:
    """Of mentions that overlap only the longest; among equals the most confident, then the first label and chunk."""
    kept: Mention | None = None
    for mention in sorted(mentions, key=_preference):
        if kept is None or mention.start >= kept.end:
            if kept is not None:
                yield kept
            kept = mention
        elif mention.end - mention.start > kept.end - kept.start:
            kept = mention
    if kept is not None:
        yield kept


def _preference(mention: Mention) -> tuple[int, int, float, str, list[tuple[str, int]]]:
    found_by = [activity_order(name) for name in mention.found_by]
    return mention.start, -mention.end, -mention.confidence, mention.label, found_by


def _by_name(mentions: Iterable[Mention]) -> dict[Group, list[Mention]]:
    groups: dict[Group, list[Mention]] = defaultdict(list)
    for mention in mentions:
        kind = kind_of(mention.label)
        groups[kind, _key(kind, clean_name(mention.text))].append(mention)
    return groups


def _key(kind: str, name: str) -> str:
    if kind == "organization":
        return organization_key(name)
    if kind == "date":
        return date_key(name)
    if kind == "person":
        return " ".join(person_words(name))
    if kind == "group":
        return group_key(name)
    return comparison_key(name)


def _merge_slips(groups: dict[Group, list[Mention]]) -> None:
    kinds: dict[str, list[str]] = defaultdict(list)
    for kind, key in groups:
        kinds[key].append(kind)
    for key, found in kinds.items():
        if len(found) > 1:
            _merge_kinds(groups, key, sorted(found, key=lambda kind: _rank(kind, groups[kind, key])))


def _rank(kind: str, members: list[Mention]) -> tuple[bool, int, bool, str]:
    """The most frequent kind first; a person among equals."""
    return kind == "unknown", -len(members), kind != "person", kind


def _merge_kinds(groups: dict[Group, list[Mention]], key: str, kinds: list[str]) -> None:
    main = kinds[0]
    for kind in kinds[1:]:
        if _is_slip(kind, groups[kind, key], main, groups[main, key]):
            groups[main, key].extend(groups.pop((kind, key)))


def _is_slip(kind: str, members: list[Mention], main: str, others: list[Mention]) -> bool:
    if kind == "unknown" or {kind, main} <= _CONFUSED or len(members) * _SLIP <= len(others):
        return True
    if "place" in (kind, main):
        return not _is_surely_place(
            members if kind == "place" else others, is_organization_too="person" not in (kind, main)
        )
    return len(members) == 1 and not _has_title(members) and not _has_title(others)


def _has_title(members: list[Mention]) -> bool:
    """'Lincoln', the film about Lincoln."""
    return any(member.label == "WORK_OF_ART" for member in members)


def _is_surely_place(members: list[Mention], *, is_organization_too: bool) -> bool:
    """'in Washington' is the city; 'to Washington' may be the company, but not the person."""
    return max(member.confidence for member in members) >= (_SURE if is_organization_too else _LIKELY)


def _merge_aliases(groups: dict[Group, list[Mention]]) -> dict[Group, list[Mention]]:
    owners = {
        **_surname_owners(groups),
        **_person_owners(groups),
        **_plural_owners(groups),
        **_shortened_owners(groups),
        **_acronym_owners(groups),
        **_defined_owners(groups),
    }
    together: dict[Group, list[Mention]] = defaultdict(list)
    for group, members in groups.items():
        together[_final_owner(group, owners)].extend(members)
    return together


def _final_owner(group: Group, owners: Mapping[Group, Group]) -> Group:
    seen = {group}
    while group in owners and owners[group] not in seen:
        group = owners[group]
        seen.add(group)
    return group


def _person_owners(groups: Mapping[Group, list[Mention]]) -> dict[Group, Group]:
    """Part of a person's name -> the whole name of whom it means."""
    by_part: dict[str, list[str]] = defaultdict(list)
    for kind, key in groups:
        if kind == "person" and " " in key:
            for part in sorted(_name_parts(key)):
                by_part[part].append(key)
    return {
        ("person", part): ("person", owner)
        for part, keys in by_part.items()
        if ("person", part) in groups
        and (owner := _bearer([key for key in keys if key not in by_part] or keys, groups))
    }


def _bearer(keys: list[str], groups: Mapping[Group, list[Mention]]) -> str | None:
    """Who is meant by a name that these people share: the only one, or the first one if the others appear but once.

    The keys are in the order of first mention.
    """
    first, *others = keys
    return first if all(len(groups["person", other]) == 1 for other in others) else None


def _surname_owners(groups: Mapping[Group, list[Mention]]) -> dict[Group, Group]:
    """A surname that was taken for something else -> the person, unless it may well be something else."""
    surnames = {key: _without_generation(key)[-1] for kind, key in groups if kind == "person" and " " in key}
    people = Counter(surnames.values())
    full = {surname: ("person", key) for key, surname in surnames.items()}
    firsts = {
        key.split()[0]
        for kind, key in groups
        if kind == "organization" and " " in key and not key.endswith(_NAMED_AFTER_PEOPLE)
    }
    return {
        (kind, key): full[key]
        for (kind, key), members in groups.items()
        if kind in _TAKEN_FOR
        and people[key] == 1
        and (key not in firsts or ("person", key) in groups)
        and not (kind == "place" and _is_surely_place(members, is_organization_too=False))
    }


def _name_parts(key: str) -> set[str]:
    """What else this person may be called: 'ada', 'lovelace', and 'presper eckert' for 'j. presper eckert'.

    'Frank Luke' is not another name of Frank Luke Jr., but may be his father's.
    """
    words = _without_generation(key)
    parts = {words[0], words[-1], " ".join(words[1:]), " ".join(words[-2:]), f"{words[0]} {words[-1]}"}
    return parts - {" ".join(words)}


def _without_generation(key: str) -> list[str]:
    """The words of a person's name without 'Jr.' or 'III'."""
    *words, last = key.split()
    return [*words[:-1], words[-1].rstrip(",")] if words and last in _GENERATIONS else [*words, last]


def _plural_owners(groups: Mapping[Group, list[Mention]]) -> dict[Group, Group]:
    """'Huguenots' -> 'Huguenot', where both are named."""
    singulars = {group: ("group", group[1].removesuffix("s")) for group in groups if group[0] == "group"}
    return {group: one for group, one in singulars.items() if one != group and one in groups}


def _shortened_owners(groups: Mapping[Group, list[Mention]]) -> dict[Group, Group]:
    """A short name of an organization -> the only one that it may stand for."""
    shortened: dict[tuple[str, ...], set[Group]] = defaultdict(set)
    for group in groups:
        if group[0] == "organization":
            for words in _shortenings(_content_words(group[1])):
                shortened[words].add(group)
    return {
        group: min(found)
        for group in groups
        if group[0] == "organization" and len(found := shortened.get(_content_words(group[1]), set())) == 1
    }


def _content_words(key: str) -> tuple[str, ...]:
    words = (word for word in key.split() if word not in _SMALL_WORDS)
    return tuple(_INSTITUTION_WORDS.get(word, word) for word in words)


def _shortenings(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """'Vassar' for Vassar College, 'Bell Labs' for Bell Telephone Laboratories, 'Moore School' for one of anything."""
    institutions = frozenset(_INSTITUTION_WORDS.values())
    if len(words) == 2 and words[1] in institutions:  # noqa: PLR2004 - two words
        yield words[:1]
    if len(words) > 2 and words[-1] in institutions:  # noqa: PLR2004
        yield words[0], words[-1]
    if len(words) > 2 and words[1] in institutions:  # noqa: PLR2004
        yield words[:2]


def _acronym_owners(groups: Mapping[Group, list[Mention]]) -> dict[Group, Group]:
    """Acronym -> the name that it abbreviates, where only one name of its kind has these initials."""
    by_acronym: dict[Group, set[Group]] = defaultdict(set)
    for group, members in groups.items():
        if group[0] in _CONFUSED and " " in group[1]:
            by_acronym[group[0], acronym(clean_name(members[0].text))].add(group)
    return {
        short: min(long)
        for short, long in by_acronym.items()
        if short in groups and len(long) == 1 and _is_acronym(groups[short][0].text)
    }


def _defined_owners(groups: Mapping[Group, list[Mention]]) -> dict[Group, Group]:
    """'Code and Cypher School (GC&CS)': what stands in brackets right after a name that has its initials."""
    ends = {member.end: group for group, members in groups.items() if group[0] in _CONFUSED for member in members}
    return {
        group: ends[member.start - 2]
        for group, members in groups.items()
        if group[0] in _CONFUSED
        for member in members
        if ends.get(member.start - 2, group) != group and _abbreviates(group[1], ends[member.start - 2][1])
    }


def _abbreviates(short: str, long: str) -> bool:
    """Whether the letters of `short` occur in this order in `long`, the first one at its beginning."""
    letters = [character for character in short if character.isalnum()]
    rest = iter(long)
    return (
        " " not in short
        and len(long) > len(short)
        and short[:1] == long[:1]
        and all(letter in rest for letter in letters)
    )


def _is_acronym(text: str) -> bool:
    return len(text) >= _SHORTEST_ACRONYM and text.isupper() and text.isalpha()


def _best_name(members: list[Mention]) -> str:
    """The most complete name of a person or organization, else the most frequent; the earliest among equals."""
    counts = Counter(clean_name(member.text) for member in members)
    labels = {member.label for member in members}
    if PERSON in labels:
        return max(counts, key=lambda name: (len(person_words(name)), -len(name), counts[name]))
    if ORGANIZATION in labels:
        return max(counts, key=lambda name: (len(name.split()), counts[name]))
    return max(counts, key=lambda name: counts[name])


def _aliases(name: str, members: list[Mention]) -> tuple[str, ...]:
    return tuple(sorted({clean_name(member.text) for member in members} - {name}))
