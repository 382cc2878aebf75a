"""What a person decides about doubtful facts changes these facts, and nothing else."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from beep_orchestration.extraction import extract, parse_extraction_input
from beep_orchestration.extraction.model import Decision, Graph
from beep_orchestration.extraction.review import (
    Answer,
    Approve,
    Decided,
    Edit,
    Reject,
    doubts_of,
    reviewed,
    triple_of,
)
from tests.faults.documents import document
from tests.faults.extractors import quick_extractors

AT = datetime(2026, 1, 1, tzinfo=UTC)
DRAFT: Graph = extract(parse_extraction_input(document(3)), quick_extractors())
ALL = doubts_of(DRAFT, 1.0)
RELATIONS = doubts_of(DRAFT, 0.75)


def decided(*answers: Answer) -> list[Decided]:
    return [Decided(answer, AT) for answer in answers]


def test_what_is_less_sure_than_the_threshold_is_doubtful() -> None:
    assert (len(RELATIONS.entities), RELATIONS.relations) == (0, DRAFT.relations)
    assert ALL.entities == DRAFT.entities
    assert doubts_of(DRAFT, 0.0).count == 0


def test_an_approval_of_all_changes_nothing_and_is_told() -> None:
    entities, relations, reviews = reviewed(DRAFT.entities, DRAFT.relations, ALL, decided(Approve(by="Ada")))
    assert (tuple(entities), tuple(relations)) == (DRAFT.entities, DRAFT.relations)
    assert [(review.decision, review.by, review.at) for review in reviews] == [(Decision.APPROVED, "Ada", AT)]


def test_a_rejected_relation_is_left_out() -> None:
    wrong = triple_of(DRAFT.relations[0])
    _, relations, reviews = reviewed(
        DRAFT.entities, DRAFT.relations, ALL, decided(Reject(by="Ada", relation=wrong, note="no"))
    )
    assert wrong not in map(triple_of, relations)
    assert len(relations) == len(DRAFT.relations) - 1
    assert (reviews[0].relation, reviews[0].note) == (wrong, "no")


def test_a_rejected_entity_takes_its_relations_with_it() -> None:
    wrong = DRAFT.relations[0].subject
    answers = decided(Reject(by="Ada", entity=wrong))
    entities, relations, _ = reviewed(DRAFT.entities, DRAFT.relations, ALL, answers)
    assert wrong not in {entity.id for entity in entities}
    assert not [each for each in relations if wrong in {each.subject, each.object}]
    left = ALL.without(answers)
    assert not [each for each in left.relations if wrong in {each.subject, each.object}]


def test_an_edit_changes_what_it_names() -> None:
    entity, relation = DRAFT.entities[0], DRAFT.relations[0]
    entities, relations, reviews = reviewed(
        DRAFT.entities,
        DRAFT.relations,
        ALL,
        decided(
            Edit(by="Ada", entity=entity.id, name="Ada King", type="Person"),
            Edit(by="Ada", relation=triple_of(relation), predicate="met"),
        ),
    )
    assert (entities[0].id, entities[0].name, entities[0].type) == (entity.id, "Ada King", "Person")
    assert entity.name in entities[0].aliases
    assert "met" in {each.predicate for each in relations if each.subject == relation.subject}
    assert {review.decision for review in reviews} == {Decision.EDITED}


def test_the_first_decision_about_a_fact_counts() -> None:
    first = triple_of(DRAFT.relations[0])
    answers = decided(Approve(by="Ada", relation=first), Reject(by="Grace", relation=first))
    _, relations, reviews = reviewed(DRAFT.entities, DRAFT.relations, ALL, answers)
    assert first in map(triple_of, relations)
    assert [review.by for review in reviews] == ["Ada"]


def test_what_was_approved_and_is_rejected_then_takes_nothing_with_it() -> None:
    """What waits for a decision and what the graph becomes agree about whose decision counts."""
    kept = DRAFT.relations[0].subject
    answers = decided(Approve(by="Ada", entity=kept), Reject(by="Bob", entity=kept))
    assert ALL.without(answers) == ALL.without(answers[:1])
    assert reviewed(DRAFT.entities, DRAFT.relations, ALL, answers)[1] == list(DRAFT.relations)


def test_a_decision_about_what_did_not_wait_changes_nothing() -> None:
    answers = decided(Reject(by="Ada", entity=DRAFT.entities[0].id))
    entities, relations, reviews = reviewed(DRAFT.entities, DRAFT.relations, RELATIONS, answers)
    assert (tuple(entities), tuple(relations), reviews) == (DRAFT.entities, DRAFT.relations, [])


@given(st.lists(st.sampled_from([entity.id for entity in DRAFT.entities]), unique=True))
def test_no_relation_loses_an_end(rejected: list[str]) -> None:
    answers = decided(*(Reject(by="Ada", entity=each) for each in rejected))
    entities, relations, _ = reviewed(DRAFT.entities, DRAFT.relations, ALL, answers)
    kept = {entity.id for entity in entities}
    assert kept == {entity.id for entity in DRAFT.entities} - set(rejected)
    assert all({relation.subject, relation.object} <= kept for relation in relations)


@pytest.mark.parametrize(
    "payload",
    [
        {"by": "Ada"},
        {"by": "Ada", "entity": "ada"},
        {"by": "Ada", "entity": "ada", "predicate": "met"},
        {"by": "Ada", "relation": {"subject": "a", "predicate": "b", "object": "c"}, "name": "Ada"},
        {"by": "", "entity": "ada", "name": "Ada"},
    ],
)
def test_an_edit_that_changes_nothing_it_names_is_refused(payload: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Edit.model_validate(payload)


def test_a_decision_is_about_one_thing() -> None:
    with pytest.raises(ValidationError, match="name one of them"):
        Approve(by="Ada", entity="ada", relation=triple_of(DRAFT.relations[0]))
