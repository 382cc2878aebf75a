"""Mentions of one thing become one candidate, those of different things do not, in near-linear work."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beep_orchestration.extraction.model import Candidate, Entity, Mention
from beep_orchestration.extraction.resolution import resolve, united
from tests.extraction.test_chunking import calls


def mentions(*names: str, gap: int = 10) -> list[Mention]:
    """One mention for each 'LABEL name', in a row."""
    made = []
    position = 0
    for name in names:
        label, _, text = name.partition(" ")
        made.append(Mention(start=position, end=position + len(text), text=text, label=label, confidence=0.8))
        position += len(text) + gap
    return made


def grouped(found: list[Candidate]) -> dict[str, list[str]]:
    return {candidate.key: [mention.text for mention in candidate.mentions] for candidate in found}


def test_a_surname_belongs_to_the_one_person_who_has_it() -> None:
    (found,) = resolve(mentions("PERSON Ada Lovelace", "PERSON Lovelace", "PERSON Ada", "PERSON Dr. Ada Lovelace"))
    assert found.name == "Ada Lovelace"
    assert len(found.mentions) == 4


def test_a_surname_that_two_share_is_not_guessed() -> None:
    twice = ["PERSON Ada Lovelace", "PERSON William Lovelace"] * 2
    assert set(grouped(resolve(mentions(*twice, "PERSON Lovelace")))) == {
        "ada-lovelace",
        "william-lovelace",
        "lovelace",
    }


def test_a_surname_means_the_main_person_where_the_other_is_mentioned_once() -> None:
    found = resolve(mentions("PERSON Tim Berners-Lee", "PERSON Conway Berners-Lee", "PERSON Berners-Lee"))
    assert grouped(found)["tim-berners-lee"] == ["Tim Berners-Lee", "Berners-Lee"]


@pytest.mark.parametrize("name", ["Frank Luke Jr.", "Frank Luke, Jr.", "Frank Luke III"])
def test_the_generation_is_no_surname(name: str) -> None:
    (found,) = resolve(mentions(f"PERSON {name}", "PERSON Luke", "ORG Luke"))
    assert [mention.text for mention in found.mentions] == [name, "Luke", "Luke"]
    assert len(resolve(mentions(f"PERSON {name}", "PERSON Frank Luke"))) == 2  # may be his father


def test_particles_belong_to_the_surname() -> None:
    (found,) = resolve(mentions("PERSON John von Neumann", "PERSON Von Neumann", "PERSON Neumann"))
    assert found.name == "John von Neumann"
    assert found.aliases == ("Neumann", "Von Neumann")


@pytest.mark.parametrize(
    ("long", "short"),
    [
        ("Vassar College", "Vassar"),
        ("Bell Telephone Laboratories", "Bell Labs"),
        ("Moore School of Electrical Engineering", "Moore School"),
    ],
)
def test_a_short_name_of_an_organization_is_its_long_form(long: str, short: str) -> None:
    (found,) = resolve(mentions(f"ORG {long}", f"ORG {short}"))
    assert (found.name, found.aliases) == (long, (short,))


@pytest.mark.parametrize(
    "names",
    [
        ("ORG Vassar College", "ORG Vassar Museum", "ORG Vassar"),
        ("ORG Stanford Research Institute", "ORG Stanford"),
        ("ORG Stanford University", "GPE Stanford"),
        ("ORG Royal Society of Chemistry", "ORG Royal Society"),
    ],
)
def test_a_short_name_that_may_be_another_organization_stays_by_itself(names: tuple[str, ...]) -> None:
    assert len(resolve(mentions(*names))) == len(names)


def test_what_the_people_of_a_country_are_called_is_one_group() -> None:
    found = resolve(
        mentions("NORP British", "NORP Britons", "NORP British", "NORP Frenchmen", "NORP French", "NORP Sioux")
    )
    assert [(candidate.name, candidate.aliases) for candidate in found] == [
        ("British", ("Britons",)),
        ("Frenchmen", ("French",)),
        ("Sioux", ()),
    ]


def test_the_people_of_a_country_are_not_the_country() -> None:
    assert len(resolve(mentions("GPE Sweden", "GPE Sweden", "GPE Sweden", "NORP Swedish", "NORP Swedes"))) == 2


def test_a_group_in_the_plural_is_the_group() -> None:
    (found,) = resolve(mentions("NORP Huguenot", "NORP Huguenots"))
    assert (found.name, found.aliases) == ("Huguenot", ("Huguenots",))


def test_an_acronym_is_its_long_form() -> None:
    (found,) = resolve(mentions("ORG International Business Machines", "ORG IBM", "ORG IBM"))
    assert (found.name, found.aliases) == ("International Business Machines", ("IBM",))


def test_an_acronym_that_two_names_share_is_not_guessed() -> None:
    found = resolve(mentions("ORG American Bar Association", "ORG Amateur Boxing Association", "ORG ABA"))
    assert len(found) == 3


def test_an_acronym_in_brackets_is_the_name_before_it() -> None:
    (found,) = resolve(mentions("ORG Government Code and Cypher School", "ORG GC&CS", gap=2))
    assert found.aliases == ("GC&CS",)


def test_company_suffixes_and_articles_make_no_difference() -> None:
    (found,) = resolve(mentions("ORG Acme", "ORG Acme Ltd", "ORG The Acme Corporation"))
    assert found.key == "the-acme-corporation"


def test_dates_are_one_however_written() -> None:
    (found,) = resolve(mentions("DATE 10 December 1815", "DATE December 10, 1815"))
    assert len(found.mentions) == 2


def test_homonyms_of_different_kinds_stay_apart() -> None:
    found = resolve(mentions("PERSON Washington", "GPE Washington", "PERSON Washington", "GPE Washington"))
    assert {candidate.key: {m.label for m in candidate.mentions} for candidate in found} == {
        "washington": {"PERSON"},
        "washington-2": {"GPE"},
    }


@pytest.mark.parametrize(
    ("labels", "count"),
    [
        (("PERSON", "ORG"), 1),
        (("NORP", "PRODUCT", "PRODUCT"), 1),
        (("PERSON", "WORK_OF_ART"), 2),
        (("PERSON", "PERSON", "WORK_OF_ART"), 2),
        (("PERSON", "PERSON", "PRODUCT", "PRODUCT"), 2),
    ],
)
def test_what_was_labelled_so_only_once_is_a_slip_unless_it_is_a_title(labels: tuple[str, ...], count: int) -> None:
    assert len(resolve(mentions(*(f"{label} Lincoln" for label in labels)))) == count


def test_one_mention_each_as_person_and_as_organization_is_a_person() -> None:
    found = resolve(mentions("ORG Philip Hawker", "PERSON Philip Hawker", "PERSON Philip", "ORG Hawker"))
    assert grouped(found) == {"philip-hawker": ["Philip Hawker", "Philip Hawker", "Philip", "Hawker"]}


def test_a_surname_is_the_person_though_an_award_begins_with_it() -> None:
    found = resolve(mentions("PERSON Alan Turing", "ORG Turing", "ORG Turing Award"))
    assert grouped(found) == {"alan-turing": ["Alan Turing", "Turing"], "turing-award": ["Turing Award"]}


def test_entities_of_one_name_and_one_type_are_one() -> None:
    hill, other, road = typed("GPE Murray Hill", "PERSON Murray Hill", "FAC Murray Hill")
    found = united([hill, road.model_copy(update={"type": "Street"}), other])
    assert [(entity.id, entity.type, len(entity.mentions)) for entity in found] == [
        ("murray-hill", "Place", 2),
        ("murray-hill-3", "Street", 1),
    ]
    assert found[0].found_by == ("entities-0", "entities-1")
    assert found[0].aliases == ("Murrays Hill",)
    assert found[0].confidence == 0.7


def typed(*names: str) -> list[Entity]:
    """Each its own entity, typed as a place by an activity of its own, and less surely than the one before."""
    return [
        Entity(
            id="murray-hill" + (f"-{number + 1}" if number else ""),
            name=mention.text,
            type="Place",
            aliases=("Murrays Hill",) if number == 1 else (),
            mentions=(mention,),
            confidence=0.7 - number / 10,
            found_by=(f"entities-{number}",),
        )
        for number, mention in enumerate(mentions(*names))
    ]


def test_a_city_is_not_the_person_named_like_it() -> None:
    found = resolve(mentions("PERSON George Washington", "PERSON Washington", "GPE Washington"))
    assert grouped(found) == {"george-washington": ["George Washington", "Washington"], "washington": ["Washington"]}


def test_a_rare_label_is_a_slip() -> None:
    (found,) = resolve(mentions("ORG Xerox", "ORG Xerox", "ORG Xerox", "PERSON Xerox"))
    assert len(found.mentions) == 4


def test_accents_composed_or_not_are_one_name() -> None:
    (found,) = resolve(mentions("PERSON Zoë Kravitz", "PERSON Zoe\u0308 Kravitz"))
    assert found.name == "Zoë Kravitz"


def test_a_mention_in_two_overlapping_chunks_is_one() -> None:
    (found,) = resolve(mentions("PERSON Ada Lovelace") * 2)
    assert len(found.mentions) == 1


def test_of_overlapping_mentions_the_longest_stays() -> None:
    long, short = (Mention(start=s, end=12, text="Ada Lovelace"[s:], label="PERSON", confidence=0.8) for s in (0, 4))
    (found,) = resolve([short, long])
    assert found.mentions == (long,)


def test_a_longer_mention_wins_over_one_that_begins_before_it() -> None:
    text = "New York City Hall"
    short, long = (Mention(start=s, end=e, text=text[s:e], label="GPE", confidence=0.8) for s, e in ((0, 8), (4, 18)))
    (found,) = resolve([short, long])
    assert found.mentions == (long,)


NAMES = st.sampled_from(
    ["PERSON Ada Lovelace", "PERSON Lovelace", "ORG Lovelace", "GPE Lovelace", "ORG International Business Machines",
     "ORG IBM", "PRODUCT IBM", "PERSON Ada", "NAME Ada", "DATE 1815", "CARDINAL 1815", "NORP British", "X Ada"]
)  # fmt: skip


@given(st.lists(NAMES, max_size=30), st.randoms(use_true_random=False))
def test_order_and_repetition_change_nothing_and_no_mention_is_lost(names: list[str], chance: random.Random) -> None:
    given_mentions = mentions(*names)
    expected = resolve(given_mentions)
    shuffled = [*given_mentions, *chance.sample(given_mentions, len(given_mentions) // 2)]
    chance.shuffle(shuffled)
    assert resolve(shuffled) == expected
    assert sorted(m.start for c in expected for m in c.mentions) == [m.start for m in given_mentions]
    assert len({candidate.key for candidate in expected}) == len(expected)


@pytest.mark.parametrize("label", ["PERSON", "ORG", "GPE", "PRODUCT"])
@pytest.mark.parametrize("pattern", ["Name{i} Surname{i}", "Same Surname{i}", "Name{i} Same", "Name {i}", "N{i}"])
def test_resolving_distinct_names_is_near_linear_work(label: str, pattern: str) -> None:
    def work(count: int) -> int:
        many = mentions(*(f"{label} {pattern.format(i=i)}" for i in range(count)))
        return calls(lambda: resolve(many))

    assert work(4_000) < 2.3 * work(2_000)


def test_twenty_thousand_distinct_names_stay_distinct() -> None:
    found = resolve(mentions(*(f"PERSON First{i} Last{i}" for i in range(20_000))))
    assert len(found) == 20_000
