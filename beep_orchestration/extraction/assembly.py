"""The last activity: what the others found becomes one graph, in one order, counted."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from beep_orchestration.extraction.model import (
    Chunk,
    Entity,
    ExtractionInput,
    ExtractionOptions,
    Graph,
    GraphStatistics,
    LanguageModelStatistics,
    Provenance,
    Relation,
    Review,
    Span,
    text_digest,
)
from beep_orchestration.extraction.ontology import THING
from beep_orchestration.extraction.provenance import merged, sources


def assemble(
    document: ExtractionInput,
    chunks: Sequence[Chunk],
    entities: Iterable[Entity],
    relations: Iterable[Relation],
    *,
    identities: Mapping[str, str],
    reviews: Sequence[Review] = (),
    language_model: LanguageModelStatistics | None = None,
) -> Graph:
    """Keep what is confident enough, and merge what several chunks found.

    A relation needs both its entities; a fact stated in several places is one relation with all its evidence, its
    highest confidence and all the activities that found it. An entity that no class fits (`Thing`) is kept only if a
    relation names it. `identities` are those of the extractors, by the activities that they ran; `reviews` are kept as
    they are, and so is what a `language_model` did. The order of the other arguments' elements changes nothing: the
    same graph comes out byte for byte.
    """
    confident = _confident_entities(entities, document.options)
    facts = _merge_facts(_confident_relations(relations, {entity.id for entity in confident}, document.options))
    kept = _worth_keeping(confident, facts)
    return Graph(
        document_id=document.document_id,
        title=document.title,
        source_uri=document.source_uri,
        text_digest=text_digest(document.text),
        entities=tuple(kept),
        relations=tuple(facts),
        stats=_count(document, chunks, kept, facts, language_model),
        provenance=Provenance(sources=sources([*kept, *facts], identities), reviews=tuple(reviews)),
    )


def _confident_entities(entities: Iterable[Entity], options: ExtractionOptions) -> list[Entity]:
    """Without their doubtful mentions, and without those that have no other; ordered by first mention."""
    kept = []
    for entity in entities:
        mentions = tuple(m for m in entity.mentions if m.confidence >= options.minimum_mention_confidence)
        if mentions:
            kept.append(entity.model_copy(update={"mentions": mentions}))
    return sorted(kept, key=lambda entity: (entity.mentions[0].start, entity.id))


def _confident_relations(
    relations: Iterable[Relation], known: set[str], options: ExtractionOptions
) -> Iterable[Relation]:
    return (
        relation
        for relation in relations
        if relation.confidence >= options.minimum_relation_confidence
        and relation.subject in known
        and relation.object in known
        and relation.subject != relation.object
    )


def _merge_facts(relations: Iterable[Relation]) -> list[Relation]:
    facts: dict[tuple[str, str, str], list[Relation]] = defaultdict(list)
    for relation in relations:
        facts[relation.subject, relation.predicate, relation.object].append(relation)
    return [_merge(same) for _, same in sorted(facts.items())]


def _merge(same: list[Relation]) -> Relation:
    evidence = _outermost(span for relation in same for span in relation.evidence)
    confidence = max(relation.confidence for relation in same)
    found_by = merged(relation.found_by for relation in same)
    return same[0].model_copy(update={"evidence": evidence, "confidence": confidence, "found_by": found_by})


def _outermost(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Without spans inside others: a chunk may hold only the rest of a sentence that its neighbour holds whole."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda found: (found.start, -found.end)):
        if not kept or span.end > kept[-1].end:
            kept.append(span)
    return tuple(kept)


def _worth_keeping(entities: Iterable[Entity], facts: Iterable[Relation]) -> list[Entity]:
    named = {end for fact in facts for end in (fact.subject, fact.object)}
    return [entity for entity in entities if entity.type != THING or entity.id in named]


def _count(
    document: ExtractionInput,
    chunks: Sequence[Chunk],
    entities: Sequence[Entity],
    relations: Sequence[Relation],
    language_model: LanguageModelStatistics | None,
) -> GraphStatistics:
    return GraphStatistics(
        characters=len(document.text),
        chunks=len(chunks),
        mentions=sum(len(entity.mentions) for entity in entities),
        entities=len(entities),
        relations=len(relations),
        entities_by_type=dict(sorted(Counter(entity.type for entity in entities).items())),
        relations_by_predicate=dict(sorted(Counter(relation.predicate for relation in relations).items())),
        language_model=language_model,
    )
