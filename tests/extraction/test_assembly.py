"""One graph: filtered, merged, ordered, counted, whatever the order in which the parts come."""

import random
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from beep_orchestration.extraction.assembly import assemble
from beep_orchestration.extraction.chunking import chunk_text
from beep_orchestration.extraction.model import (
    Decision,
    Entity,
    ExtractionInput,
    ExtractionOptions,
    Graph,
    Mention,
    Provenance,
    Relation,
    Review,
    Source,
    Span,
)
from beep_orchestration.extraction.provenance import attributed

TEXT = "Ada met Bob. Bob met Ada. Carol slept."
IDENTITIES = {
    "mentions-0": "names model-1 rules-a",
    "entities-0": "types-1",
    "relations-2": "facts 1.0",
    "relations-10": "facts 1.0",
    "relations-3": "facts 1.0",
}


def entity(key: str, start: int, confidence: float = 0.8, kind: str = "Person") -> Entity:
    mention = Mention(start=start, end=start + 3, text=TEXT[start : start + 3], label="PERSON", confidence=confidence)
    return Entity(id=key, name=key, type=kind, aliases=(), mentions=(mention,), confidence=0.9)


def relation(subject: str, target: str, confidence: float = 0.9, evidence: tuple[int, int] = (0, 12)) -> Relation:
    span = Span(start=evidence[0], end=evidence[1])
    return Relation(subject=subject, predicate="met", object=target, confidence=confidence, evidence=(span,))


def graph(entities: list[Entity], relations: list[Relation], **options: float) -> Graph:
    document = ExtractionInput(document_id="d", text=TEXT, options=ExtractionOptions.model_validate(options))
    return assemble(document, chunk_text(TEXT, document.options), entities, relations, identities=IDENTITIES)


ADA, BOB, CAROL = entity("ada", 0), entity("bob", 8), entity("carol", 26)


def test_a_fact_stated_twice_is_one_with_both_sentences() -> None:
    (found,) = graph([ADA, BOB], [relation("ada", "bob", 0.6, (13, 25)), relation("ada", "bob", 0.9)]).relations
    assert found.evidence == (Span(start=0, end=12), Span(start=13, end=25))
    assert found.confidence == 0.9


def test_a_sentence_that_a_chunk_cut_off_is_evidence_once() -> None:
    (found,) = graph([ADA, BOB], [relation("ada", "bob", evidence=(4, 12)), relation("ada", "bob")]).relations
    assert found.evidence == (Span(start=0, end=12),)


def test_doubtful_relations_are_dropped() -> None:
    assert graph([ADA, BOB], [relation("ada", "bob", 0.4)]).relations == ()
    assert graph([ADA, BOB], [relation("ada", "bob", 0.4)], minimum_relation_confidence=0.4).relations != ()


def test_doubtful_mentions_take_their_entity_and_its_relations_along() -> None:
    found = graph([ADA, entity("bob", 8, confidence=0.3)], [relation("ada", "bob")], minimum_mention_confidence=0.5)
    assert [e.id for e in found.entities] == ["ada"]
    assert found.relations == ()


def test_relations_to_unknown_things_and_to_oneself_are_dropped() -> None:
    assert graph([ADA], [relation("ada", "bob"), relation("ada", "ada")]).relations == ()


def test_a_thing_of_no_class_needs_a_relation() -> None:
    thing = entity("bob", 8, kind="Thing")
    assert [e.id for e in graph([ADA, thing], []).entities] == ["ada"]
    assert [e.id for e in graph([ADA, thing], [relation("ada", "bob")]).entities] == ["ada", "bob"]


def test_a_fact_names_every_activity_that_found_it_and_the_graph_who_ran_them() -> None:
    ada, bob = attributed("entities", [[ADA, BOB]])
    late, early = (attributed("relations", [*[[]] * number, [relation("ada", "bob")]])[0] for number in (10, 2))
    found = graph([ada, bob], [late, early, relation("bob", "ada", 0.1)])
    assert found.relations[0].found_by == ("relations-2", "relations-10")
    assert found.entities[0].found_by == found.entities[0].mentions[0].found_by == ("entities-0",)
    assert found.provenance.sources == (
        Source(extractor="types-1", version="", activities=("entities-0",)),
        Source(extractor="facts", version="1.0", activities=("relations-2", "relations-10")),
    )


def test_a_fact_keeps_the_activity_that_it_names() -> None:
    (mention,) = attributed("mentions", [ADA.mentions])
    (ada,) = attributed("entities", [[], [ADA.model_copy(update={"mentions": (mention,)})]])
    assert (ada.found_by, ada.mentions[0].found_by) == (("entities-1",), ("mentions-0",))
    assert attributed("review", [[ada]]) == [ada]


def test_reviews_are_kept_and_a_graph_without_provenance_can_be_read() -> None:
    review = Review(decision=Decision.REJECTED, by="Ann", at=datetime(2026, 1, 1, tzinfo=UTC), entity="carol")
    document = ExtractionInput(document_id="d", text=TEXT)
    found = assemble(document, [], [ADA], [], identities={}, reviews=[review])
    assert Graph.model_validate_json(found.model_dump_json()).provenance.reviews == (review,)
    stored = found.model_dump(mode="json", exclude={"provenance": True, "entities": {"__all__": {"found_by"}}})
    assert Graph.model_validate(stored).provenance == Provenance()


def test_statistics_count_what_is_in_the_graph() -> None:
    stats = graph([CAROL, BOB, ADA], [relation("ada", "bob"), relation("bob", "ada")]).stats
    assert stats.model_dump() == {
        "characters": len(TEXT), "chunks": 1, "mentions": 3, "entities": 3, "relations": 2,
        "entities_by_type": {"Person": 3}, "relations_by_predicate": {"met": 2},
        "language_model": None,
    }  # fmt: skip


@given(st.randoms(use_true_random=False))
def test_the_order_of_the_parts_changes_nothing(chance: random.Random) -> None:
    entities = [ADA, BOB, CAROL]
    relations = [
        relation("ada", "bob"),
        relation("ada", "bob", 0.7, (13, 25)),
        relation("bob", "carol"),
        relation("carol", "ada", 0.6),
    ]
    expected = graph(entities, relations).model_dump_json()
    chance.shuffle(entities)
    chance.shuffle(relations)
    assert graph(entities, relations).model_dump_json() == expected
