"""The ops of the `extraction` workflow: one for each activity type, each a thin wrapper around pure functions.

An op cuts its work into activities and hands them to the runner, which runs those that are not completed yet.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import dagster as dg
from pydantic import BaseModel, Field

from beep_orchestration.activities import Activity
from beep_orchestration.activity_inputs import CandidateBatch, ChunkOfEntities, ChunkOfText, GraphParts, WholeText
from beep_orchestration.digests import canonical_digest
from beep_orchestration.extraction import (
    activity_name,
    assemble,
    attributed,
    batches,
    chunk_text,
    entities_by_chunk,
    load_ontology,
    resolve,
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
    text_digest,
)
from beep_orchestration.extractor_choice import ExtractorChoice
from beep_orchestration.model_calls import calling_for, load_statistics
from beep_orchestration.models import RetryPolicy
from beep_orchestration.previews import execution_link, graph_metadata, preview
from beep_orchestration.resources import ExecutionSession, WorkflowResource
from beep_orchestration.workflow_types import ASSEMBLE, CHUNK, ENTITIES, MENTIONS, RELATIONS, ActivityType

IO_MANAGER = "checkpoints"

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
    concurrency: int = Field(
        default=ExtractionOptions().concurrency, description="activities of one type that run at the same time"
    )
    token_budget: int | None = Field(default=None, description="tokens that language models may read and write")
    cost_budget: float | None = Field(default=None, description="what language models may cost")


class DocumentConfig(dg.Config):
    """A pasted document. Read only when the run carries no execution yet, that is, when it was launched by hand."""

    document_id: str = Field(default="pasted-document", description="your name for the document")
    text: str = Field(default=EXAMPLE_TEXT, description="the document; replace the example with your own text")
    title: str | None = Field(default=None, description="what the document is called")
    source_uri: str | None = Field(default=None, description="where the document is from")
    ontology: str | None = Field(default=None, description="Turtle text; the built-in ontology if absent")
    extractor: str = Field(default="local", description="who finds mentions, types and relations: local or llm")
    options: OptionsConfig = Field(default=OptionsConfig(), description="how it is cut up, and what is kept")


def stage_op(stage: ActivityType, description: str) -> Callable[[Callable[..., Any]], dg.OpDefinition]:
    """Make an op of the stage's function: named, described and stored alike."""
    return dg.op(
        name=stage.op_name,
        description=description,
        out=dg.Out(
            dagster_type=list,
            io_manager_key=IO_MANAGER,
            description=f"What the `{stage.name}` activities yielded, stored under the execution.",
        ),
        tags={"beep/activity_type": stage.name},
    )


@stage_op(CHUNK, "Cuts the document into chunks at paragraph and sentence ends: activity `chunk`.")
def chunk_text_op(context: dg.OpExecutionContext, config: DocumentConfig, workflow: WorkflowResource) -> Any:
    with workflow.claimed(_given_input(config)) as session:
        document: ExtractionInput = session.input
        activity = _activity(
            CHUNK,
            CHUNK.name,
            input=WholeText(text_digest=text_digest(document.text), options=document.options),
            call=partial(chunk_text, document.text, document.options),
            code_version="chunk-1",
        )
        return _run(context, session, CHUNK, [activity])


@stage_op(MENTIONS, "Finds the names in each chunk: activities `mentions-0`, `mentions-1`, ... side by side.")
def extract_mentions_op(
    context: dg.OpExecutionContext,
    workflow: WorkflowResource,
    choose_extractors: dg.ResourceParam[ExtractorChoice],
    chunks: list,  # type: ignore[type-arg]
) -> Any:
    with workflow.claimed() as session:
        document: ExtractionInput = session.input
        use, ontology = choose_extractors(session), load_ontology(document.ontology)
        digest, ontology_digest = text_digest(document.text), _ontology_digest(document)
        activities = [
            _activity(
                MENTIONS,
                activity_name(MENTIONS.name, chunk.index),
                input=ChunkOfText(text_digest=digest, chunk=chunk, ontology_digest=ontology_digest),
                call=partial(use.mentions.extract_mentions, document.text, chunk, ontology),
                code_version=use.mentions.identity,
                retry=use.retry,
            )
            for chunk in _flat(chunks)
        ]
        return _run(context, session, MENTIONS, activities)


@stage_op(
    ENTITIES, "Merges mentions that name the same thing and types them by the ontology: activities `entities-0`, ..."
)
def classify_entities_op(
    context: dg.OpExecutionContext,
    workflow: WorkflowResource,
    choose_extractors: dg.ResourceParam[ExtractorChoice],
    mentions: list,  # type: ignore[type-arg]
) -> Any:
    with workflow.claimed() as session:
        document: ExtractionInput = session.input
        use, ontology = choose_extractors(session), load_ontology(document.ontology)
        digest, ontology_digest = text_digest(document.text), _ontology_digest(document)
        found: list[Mention] = attributed(MENTIONS.name, mentions)
        groups: list[list[Candidate]] = batches(resolve(found), document.options.batch_size) or [[]]
        activities = [
            _activity(
                ENTITIES,
                activity_name(ENTITIES.name, number),
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
        return _run(context, session, ENTITIES, activities)


@stage_op(
    RELATIONS, "Finds the facts that each chunk states about its entities: activities `relations-0`, ... side by side."
)
def extract_relations_op(
    context: dg.OpExecutionContext,
    workflow: WorkflowResource,
    choose_extractors: dg.ResourceParam[ExtractorChoice],
    chunks: list,  # type: ignore[type-arg]
    entities: list,  # type: ignore[type-arg]
) -> Any:
    with workflow.claimed() as session:
        document: ExtractionInput = session.input
        use, ontology = choose_extractors(session), load_ontology(document.ontology)
        digest, ontology_digest = text_digest(document.text), _ontology_digest(document)
        all_chunks: list[Chunk] = _flat(chunks)
        typed: list[Entity] = attributed(ENTITIES.name, entities)
        activities = [
            _activity(
                RELATIONS,
                activity_name(RELATIONS.name, chunk.index),
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
        return _run(context, session, RELATIONS, activities)


@stage_op(ASSEMBLE, "Puts the graph together and completes the execution: activity `assemble`.")
def assemble_graph_op(
    context: dg.OpExecutionContext,
    workflow: WorkflowResource,
    chunks: list,  # type: ignore[type-arg]
    entities: list,  # type: ignore[type-arg]
    relations: list,  # type: ignore[type-arg]
) -> Any:
    with workflow.claimed() as session:
        document: ExtractionInput = session.input
        all_entities: list[Entity] = attributed(ENTITIES.name, entities)
        all_relations: list[Relation] = attributed(RELATIONS.name, relations)
        identities = session.load_code_versions(MENTIONS.name, ENTITIES.name, RELATIONS.name)
        language_model = load_statistics(session.database, session.execution_id, identities)
        activity = _activity(
            ASSEMBLE,
            ASSEMBLE.name,
            input=GraphParts(
                text_digest=text_digest(document.text),
                entities_digest=_digest(all_entities),
                relations_digest=_digest(all_relations),
                identities_digest=canonical_digest(identities),
                language_model=language_model,
                options=document.options,
            ),
            call=partial(
                assemble,
                document,
                _flat(chunks),
                all_entities,
                all_relations,
                identities=identities,
                language_model=language_model,
            ),
            code_version="assemble-2",
        )
        graphs: list[Graph] = _run(context, session, ASSEMBLE, [activity])
        session.runner.complete(graphs[0].model_dump(mode="json"))
        context.add_output_metadata(graph_metadata(graphs[0]))
        return graphs


def _activity(
    stage: ActivityType,
    name: str,
    *,
    input: BaseModel,  # noqa: A002 - as `Activity` names it
    call: Callable[[], Any],
    code_version: str,
    retry: RetryPolicy | None = None,
) -> Activity[Any]:
    return Activity(
        name=name,
        input=input,
        call=partial(_call_for, stage.name, name, call),
        output_type=stage.output_type,
        code_version=code_version,
        retry=retry or stage.retry,
        timeout=stage.timeout,
        heartbeat_timeout=stage.heartbeat_timeout,
    )


def _call_for(activity_type: str, activity_name: str, call: Callable[[], Any]) -> Any:
    with calling_for(activity_type, activity_name):
        return call()


def _run(
    context: dg.OpExecutionContext, session: ExecutionSession, stage: ActivityType, activities: Sequence[Activity[Any]]
) -> list[Any]:
    document: ExtractionInput = session.input
    outputs = session.run(stage.name, activities, concurrency=document.options.concurrency)
    context.add_output_metadata(
        {"execution": execution_link(session.execution_id), "activities": len(outputs), **preview(outputs)}
    )
    return outputs


def _given_input(config: DocumentConfig) -> dict[str, Any]:
    return config.model_dump() | {"options": config.options.model_dump()}


def _flat(parts: Sequence[Sequence[Any]]) -> list[Any]:
    return [item for part in parts for item in part]


def _digest(values: Sequence[BaseModel]) -> str:
    return canonical_digest([value.model_dump(mode="json") for value in values])


def _ontology_digest(document: ExtractionInput) -> str:
    return text_digest(document.ontology or "built-in")
