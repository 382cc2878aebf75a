"""The ops of the `extraction` workflow: one for each activity type, each a thin wrapper around pure functions.

An op cuts its work into activities and hands them to the runner, which runs those that are not completed yet.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import dagster as dg
from pydantic import BaseModel, Field

from beep_orchestration.activities import Activity
from beep_orchestration.activity_inputs import CandidateBatch, ChunkOfEntities, ChunkOfText, GraphParts, WholeText
from beep_orchestration.digests import canonical_digest
from beep_orchestration.errors import ActivityFailedError, BudgetUsedUpError
from beep_orchestration.extraction import (
    activity_name,
    assemble,
    attributed,
    batches,
    chunk_text,
    entities_by_chunk,
    load_ontology,
    resolve,
    united,
)
from beep_orchestration.extraction.model import (
    Candidate,
    Chunk,
    Entity,
    ExtractionInput,
    ExtractionOptions,
    Graph,
    Mention,
    Relation,
    Review,
    text_digest,
)
from beep_orchestration.extraction.review import REVIEW_SIGNALS, Decided, Doubts, doubts_of, reviewed
from beep_orchestration.model_calls import load_statistics
from beep_orchestration.models import GRANT_BUDGET_SIGNAL
from beep_orchestration.previews import graph_metadata
from beep_orchestration.workflow_types import ASSEMBLE, CHUNK, ENTITIES, MENTIONS, RELATIONS
from beep_orchestration.workflows import Stage, stage_op

Parts = Sequence[Sequence[Any]]
"""The outputs of a stage's activities, in their order."""

_CHOICE = frozenset({"choose_extractors"})

EXAMPLE_TEXT = (
    "Ada Lovelace was born in London in 1815. She worked with Charles Babbage on the Analytical Engine. "
    "Alan Turing was born in London in 1912 and studied at King's College in Cambridge."
)


class OptionsConfig(dg.Config):
    """How the document is cut up and what is kept; sizes count code points."""

    chunk_size: int = Field(default=ExtractionOptions().chunk_size, description="longest chunk, in code points")
    chunk_overlap: int = Field(
        default=ExtractionOptions().chunk_overlap, description="text repeated at the start of the next chunk"
    )
    batch_size: int = Field(
        default=ExtractionOptions().batch_size, description="entities that one classification activity types"
    )
    minimum_mention_confidence: float = Field(
        default=ExtractionOptions().minimum_mention_confidence, description="0 to 1; mentions below it are dropped"
    )
    minimum_relation_confidence: float = Field(
        default=ExtractionOptions().minimum_relation_confidence, description="0 to 1; relations below it are dropped"
    )
    review_below: float | None = Field(
        default=None, description="entities and relations less sure than this wait for a person's decision"
    )
    concurrency: int = Field(
        default=ExtractionOptions().concurrency, description="activities of one type that run at the same time"
    )
    token_budget: int | None = Field(default=None, description="tokens that language models may read and write")
    cost_budget: float | None = Field(default=None, description="what language models may cost")
    account: str | None = Field(default=None, description="a name under which executions share these budgets")
    when_budget_is_used_up: str = Field(default="fail", description="fail, or park until the signal grant_budget")


class DocumentConfig(dg.Config):
    """A pasted document. Read only when the run carries no execution yet, that is, when it was launched by hand."""

    document_id: str = Field(default="pasted-document", description="your name for the document")
    text: str = Field(default=EXAMPLE_TEXT, description="the document; replace the example with your own text")
    title: str | None = Field(default=None, description="what the document is called")
    source_uri: str | None = Field(default=None, description="where the document is from")
    ontology: str | None = Field(default=None, description="Turtle text; the built-in ontology if absent")
    examples: str | None = Field(default=None, description="the name of a set that 'beep teach' has stored")
    extractor: str = Field(default="local", description="who finds mentions, types and relations: local or llm")
    options: OptionsConfig = Field(default=OptionsConfig(), description="how it is cut up, and what is kept")


@stage_op(
    CHUNK, "Cuts the document into chunks at paragraph and sentence ends: activity `chunk`.", config=DocumentConfig
)
def chunk_text_op(stage: Stage) -> list[Any]:
    document: ExtractionInput = stage.input
    activity = stage.activity(
        input=WholeText(text_digest=text_digest(document.text), options=document.options),
        call=partial(chunk_text, document.text, document.options),
        code_version="chunk-1",
    )
    return stage.run([activity])


@stage_op(
    MENTIONS,
    "Finds the names in each chunk: activities `mentions-0`, `mentions-1`, ... side by side.",
    resources=_CHOICE,
)
def extract_mentions_op(stage: Stage, chunks: Parts) -> list[Any]:
    document: ExtractionInput = stage.input
    use, ontology = stage.resources.choose_extractors(stage.session), load_ontology(document.ontology)
    digest, ontology_digest = text_digest(document.text), _ontology_digest(document)
    activities = [
        stage.activity(
            name=activity_name(MENTIONS.name, chunk.index),
            input=ChunkOfText(text_digest=digest, chunk=chunk, ontology_digest=ontology_digest),
            call=partial(use.mentions.extract_mentions, document.text, chunk, ontology),
            code_version=use.mentions.identity,
            retry=use.retry,
        )
        for chunk in _flat(chunks)
    ]
    return _run_within_budget(stage, activities)


@stage_op(
    ENTITIES,
    "Merges mentions that name the same thing and types them by the ontology: activities `entities-0`, ...",
    resources=_CHOICE,
)
def classify_entities_op(stage: Stage, mentions: Parts) -> list[Any]:
    document: ExtractionInput = stage.input
    use, ontology = stage.resources.choose_extractors(stage.session), load_ontology(document.ontology)
    digest, ontology_digest = text_digest(document.text), _ontology_digest(document)
    found: list[Mention] = attributed(MENTIONS.name, mentions)
    groups: list[list[Candidate]] = batches(resolve(found), document.options.batch_size) or [[]]
    activities = [
        stage.activity(
            name=activity_name(ENTITIES.name, number),
            input=CandidateBatch(
                text_digest=digest,
                candidates=len(candidates),
                candidates_digest=_digest(candidates),
                ontology_digest=ontology_digest,
            ),
            call=partial(use.entities.classify_entities, document.text, candidates, ontology),
            code_version=use.entities.identity,
            retry=use.retry,
        )
        for number, candidates in enumerate(groups)
    ]
    return _run_within_budget(stage, activities)


@stage_op(
    RELATIONS,
    "Finds the facts that each chunk states about its entities: activities `relations-0`, ... side by side.",
    resources=_CHOICE,
)
def extract_relations_op(stage: Stage, chunks: Parts, entities: Parts) -> list[Any]:
    document: ExtractionInput = stage.input
    use, ontology = stage.resources.choose_extractors(stage.session), load_ontology(document.ontology)
    digest, ontology_digest = text_digest(document.text), _ontology_digest(document)
    all_chunks: list[Chunk] = _flat(chunks)
    typed: list[Entity] = united(attributed(ENTITIES.name, entities))
    activities = [
        stage.activity(
            name=activity_name(RELATIONS.name, chunk.index),
            input=ChunkOfEntities(
                text_digest=digest,
                chunk=chunk,
                entities=len(present),
                entities_digest=_digest(present),
                ontology_digest=ontology_digest,
            ),
            call=partial(use.relations.extract_relations, document.text, chunk, present, ontology),
            code_version=use.relations.identity,
            retry=use.retry,
        )
        for chunk, present in zip(all_chunks, entities_by_chunk(typed, all_chunks), strict=True)
    ]
    return _run_within_budget(stage, activities)


@stage_op(ASSEMBLE, "Puts the graph together and completes the execution: activity `assemble`.")
def assemble_graph_op(stage: Stage, chunks: Parts, entities: Parts, relations: Parts) -> list[Any]:
    document: ExtractionInput = stage.input
    all_entities: list[Entity] = united(attributed(ENTITIES.name, entities))
    all_relations: list[Relation] = attributed(RELATIONS.name, relations)
    identities = stage.session.load_code_versions(MENTIONS.name, ENTITIES.name, RELATIONS.name)
    language_model = load_statistics(stage.session.database, stage.execution_id, identities)
    reviews: list[Review] = []
    if document.options.review_below is not None:
        draft = assemble(document, _flat(chunks), all_entities, all_relations, identities={})
        doubts = doubts_of(draft, document.options.review_below)
        decided = _decisions(stage, doubts)
        all_entities, all_relations, reviews = reviewed(all_entities, all_relations, doubts, decided)
    activity = stage.activity(
        input=GraphParts(
            text_digest=text_digest(document.text),
            entities_digest=_digest(all_entities),
            relations_digest=_digest(all_relations),
            identities_digest=canonical_digest(identities),
            language_model=language_model,
            reviews_digest=_digest(reviews),
            options=document.options,
        ),
        call=partial(
            assemble,
            document,
            _flat(chunks),
            all_entities,
            all_relations,
            identities=identities,
            reviews=reviews,
            language_model=language_model,
        ),
        code_version="assemble-2",
    )
    graph: Graph = stage.run_last(activity)
    stage.metadata |= graph_metadata(graph)
    return [graph]


def _run_within_budget(stage: Stage, activities: Sequence[Activity[Any]]) -> list[Any]:
    """Run what may ask a language model; a budget that is used up is waited for, if the input says so."""
    options: ExtractionOptions = stage.input.options
    while True:
        try:
            return stage.run(activities, concurrency=options.concurrency)
        except ActivityFailedError as error:
            if error.error_type != BudgetUsedUpError.__name__ or options.when_budget_is_used_up == "fail":
                raise
        stage.await_signal(GRANT_BUDGET_SIGNAL)


def _decisions(stage: Stage, doubts: Doubts) -> list[Decided]:
    """Wait, without a process, until a person has decided on every doubtful fact."""
    decided: list[Decided] = []
    while doubts.without(decided).count:
        received = stage.await_signal(*REVIEW_SIGNALS)
        if received is not None:
            decided.append(Decided(received.payload, received.sent_at))
    return decided


def _flat(parts: Sequence[Sequence[Any]]) -> list[Any]:
    return [item for part in parts for item in part]


def _digest(values: Sequence[BaseModel]) -> str:
    return canonical_digest([value.model_dump(mode="json") for value in values])


def _ontology_digest(document: ExtractionInput) -> str:
    return text_digest(document.ontology or "built-in")
