"""What a person decides about doubtful facts, before the graph is assembled."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from pydantic import Field, model_validator

from beep_orchestration.extraction.model import (
    Decision,
    Entity,
    Graph,
    Relation,
    Review,
    Triple,
    Value,
)


class Answer(Value):
    """What the signals of the review say: about one entity, one relation, or with neither about all that waits."""

    by: str = Field(min_length=1, max_length=200, description="who decides")
    entity: str | None = Field(default=None, description="the entity's id")
    relation: Triple | None = None
    note: str | None = Field(default=None, max_length=2_000)

    @model_validator(mode="after")
    def _is_about_one_thing(self) -> Self:
        if self.entity is not None and self.relation is not None:
            raise ValueError("names an entity and a relation; name one of them")
        return self


class Approve(Answer):
    """The fact is right. Payload of the signal `approve`."""


class Reject(Answer):
    """The fact is wrong: it is left out, and with an entity its relations. Payload of the signal `reject`."""


class Edit(Answer):
    """The fact is right but for what is given here. Payload of the signal `edit`."""

    name: str | None = Field(default=None, min_length=1, max_length=500, description="the entity's right name")
    type: str | None = Field(default=None, min_length=1, max_length=200, description="the entity's right class")
    predicate: str | None = Field(default=None, min_length=1, max_length=200, description="the relation's right name")

    @model_validator(mode="after")
    def _changes_what_it_names(self) -> Self:
        if self.entity is not None and (self.name or self.type) and not self.predicate:
            return self
        if self.relation is not None and self.predicate and not (self.name or self.type):
            return self
        raise ValueError(
            "changes nothing that it names; give an entity with name or type, or a relation with predicate"
        )


REVIEW_SIGNALS: dict[str, type[Answer]] = {"approve": Approve, "reject": Reject, "edit": Edit}


@dataclass(frozen=True)
class Decided:
    """An answer, and when it arrived by the database's clock."""

    answer: Answer
    at: datetime


@dataclass(frozen=True)
class Doubts:
    """The facts of a draft that are less sure than the threshold, in the draft's order."""

    entities: tuple[Entity, ...]
    relations: tuple[Relation, ...]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.entities) + len(self.relations)

    def without(self, decided: Iterable[Decided]) -> "Doubts":
        """Those that nobody has decided on yet; with a rejected entity its relations need no decision of their own.

        The first decision about a fact counts, as in `reviewed`.
        """
        entities, relations = self.entities, self.relations
        for answer in (each.answer for each in decided):
            if answer.entity is None and answer.relation is None:
                return Doubts((), ())
            named = {entity.id for entity in entities if entity.id == answer.entity}
            entities = tuple(entity for entity in entities if entity.id not in named)
            is_gone = named if isinstance(answer, Reject) else set()
            relations = tuple(
                relation
                for relation in relations
                if triple_of(relation) != answer.relation and not is_gone & {relation.subject, relation.object}
            )
        return Doubts(entities, relations)


def doubts_of(draft: Graph, threshold: float) -> Doubts:
    """What a person has to look at: whatever is less sure than the threshold."""
    return Doubts(
        tuple(entity for entity in draft.entities if entity.confidence < threshold),
        tuple(relation for relation in draft.relations if relation.confidence < threshold),
    )


def reviewed(
    entities: Sequence[Entity], relations: Sequence[Relation], doubts: Doubts, decided: Sequence[Decided]
) -> tuple[list[Entity], list[Relation], list[Review]]:
    """The facts as they were decided on, and the decisions as they are told in the provenance.

    The first decision about a fact counts. One about something that did not wait for a decision changes nothing and is
    not told.
    """
    kept_entities = {entity.id: entity for entity in entities}
    kept_relations = list(relations)
    reviews: list[Review] = []
    left = doubts
    for each in decided:
        answer = each.answer
        about = _named(left, answer)
        if about.count == 0:
            continue
        reviews.append(_review(each))
        for entity in about.entities:
            changed = _changed_entity(kept_entities[entity.id], answer)
            kept_entities.pop(entity.id) if changed is None else kept_entities.update({entity.id: changed})
        for relation in about.relations:
            kept_relations = _with_decision(kept_relations, triple_of(relation), answer)
        left = left.without([each])
    facts = [each for each in kept_relations if each.subject in kept_entities and each.object in kept_entities]
    return list(kept_entities.values()), facts, reviews


def triple_of(relation: Relation) -> Triple:
    """By what a relation is named."""
    return Triple(subject=relation.subject, predicate=relation.predicate, object=relation.object)


def _named(doubts: Doubts, answer: Answer) -> Doubts:
    if answer.entity is None and answer.relation is None:
        return doubts
    return Doubts(
        tuple(entity for entity in doubts.entities if entity.id == answer.entity),
        tuple(relation for relation in doubts.relations if triple_of(relation) == answer.relation),
    )


def _changed_entity(entity: Entity, answer: Answer) -> Entity | None:
    match answer:
        case Reject():
            return None
        case Edit():
            aliases = tuple(sorted({*entity.aliases, entity.name} - {answer.name})) if answer.name else entity.aliases
            return entity.model_copy(
                update={"name": answer.name or entity.name, "type": answer.type or entity.type, "aliases": aliases}
            )
        case _:
            return entity


def _with_decision(relations: list[Relation], triple: Triple, answer: Answer) -> list[Relation]:
    match answer:
        case Reject():
            return [relation for relation in relations if triple_of(relation) != triple]
        case Edit():
            return [
                relation.model_copy(update={"predicate": answer.predicate})
                if triple_of(relation) == triple
                else relation
                for relation in relations
            ]
        case _:
            return relations


def _review(each: Decided) -> Review:
    answer = each.answer
    decision = {Approve: Decision.APPROVED, Reject: Decision.REJECTED, Edit: Decision.EDITED}[type(answer)]
    return Review(
        decision=decision, by=answer.by, at=each.at, entity=answer.entity, relation=answer.relation, note=answer.note
    )
