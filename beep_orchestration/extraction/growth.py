"""A graph while it grows: what the activities that are completed have found so far, in short."""

from collections.abc import Mapping, Sequence
from typing import Any

from beep_orchestration.extraction.model import Candidate, Entity, Graph, Mention, Relation, Value
from beep_orchestration.extraction.resolution import resolve, united


class Node(Value):
    """A thing; `type` is None before it is classified."""

    id: str
    name: str
    type: str | None
    mentions: int


class Edge(Value):
    """A fact between two nodes."""

    subject: str
    predicate: str
    object: str
    confidence: float


class GrowingGraph(Value):
    """The nodes with most mentions and the edges between them; the counts are of all."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    entities: int
    relations: int
    is_complete: bool


def growing_graph(
    *,
    mentions: Sequence[Any],
    entities: Sequence[Any],
    relations: Sequence[Any],
    graphs: Sequence[Any],
    limit: int,
) -> GrowingGraph:
    """The graph from the recorded outputs of activities of these types, with so many nodes at most.

    Names are merged, and untyped, until the first entities are classified; the assembled graph replaces all of it.
    """
    if graphs:
        graph = Graph.model_validate(graphs[0])
        return _short(list(map(_of_entity, graph.entities)), graph.relations, limit=limit, is_complete=True)
    typed = list(map(_of_entity, united(Entity.model_validate(item) for part in entities for item in part)))
    found = [Relation.model_validate(item) for part in relations for item in part]
    if not typed:
        candidates = resolve([Mention.model_validate(item) for part in mentions for item in part])
        typed = list(map(_of_candidate, candidates))
    return _short(typed, found, limit=limit, is_complete=False)


def _of_entity(entity: Entity) -> Node:
    return Node(id=entity.id, name=entity.name, type=entity.type, mentions=len(entity.mentions))


def _of_candidate(candidate: Candidate) -> Node:
    return Node(id=candidate.key, name=candidate.name, type=None, mentions=len(candidate.mentions))


def _short(nodes: Sequence[Node], relations: Sequence[Relation], *, limit: int, is_complete: bool) -> GrowingGraph:
    kept = sorted(nodes, key=lambda node: (-node.mentions, node.id))[:limit]
    known = {node.id for node in kept}
    edges: Mapping[tuple[str, str, str], Edge] = {
        (fact.subject, fact.predicate, fact.object): Edge(
            subject=fact.subject, predicate=fact.predicate, object=fact.object, confidence=fact.confidence
        )
        for fact in sorted(relations, key=lambda fact: fact.confidence)
        if {fact.subject, fact.object} <= known
    }
    facts = {(fact.subject, fact.predicate, fact.object) for fact in relations}
    return GrowingGraph(
        nodes=tuple(kept),
        edges=tuple(edges.values()),
        entities=len(nodes),
        relations=len(facts),
        is_complete=is_complete,
    )
