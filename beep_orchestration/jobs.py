"""The jobs. Read this first: the workflow from document to graph, and the three that steer executions from the UI."""

from typing import Any

import dagster as dg

from beep_orchestration.engine.coordinator import STEERING_TAG
from beep_orchestration.extractor_choice import choose_extractors
from beep_orchestration.ops import (
    assemble_graph_op,
    chunk_text_op,
    classify_entities_op,
    extract_mentions_op,
    extract_relations_op,
)
from beep_orchestration.steering_ops import cancel_workflow_op, resume_workflow_op, send_signal_op
from beep_orchestration.workflow_types import EXTRACTION, load_workflow_modules
from beep_orchestration.workflows import STAGE_RESOURCES, WORKFLOW_JOBS, workflow_job


@workflow_job(
    EXTRACTION,
    "A document becomes a knowledge graph, durably: each op is an activity type, whose activities are recorded one by "
    "one and never run again once completed, whichever run goes on. Paste a document into `ops: chunk_text: config`, "
    "or start one with `beep start FILE`.",
)
def extraction_job() -> None:
    """Chunk, find mentions, type entities, relate them, assemble the graph."""
    chunks = chunk_text_op()
    entities = classify_entities_op(extract_mentions_op(chunks))
    assemble_graph_op(chunks, entities, extract_relations_op(chunks, entities))


@dg.job(
    description="Send a signal to a running execution.",
    executor_def=dg.in_process_executor,
    tags={STEERING_TAG: "true"},
)
def send_signal() -> None:
    """What `beep signal` does, from the UI."""
    send_signal_op()


@dg.job(
    description="Cancel a running execution; what it completed is kept.",
    executor_def=dg.in_process_executor,
    tags={STEERING_TAG: "true"},
)
def cancel_workflow() -> None:
    """What `beep cancel` does, from the UI."""
    cancel_workflow_op()


@dg.job(
    description="Let a failed or cancelled execution go on; what it completed is not repeated.",
    executor_def=dg.in_process_executor,
    tags={STEERING_TAG: "true"},
)
def resume_workflow() -> None:
    """What `beep resume` does, from the UI."""
    resume_workflow_op()


load_workflow_modules()

WORKFLOW_RESOURCES: dict[str, Any] = STAGE_RESOURCES | {
    "choose_extractors": dg.ResourceDefinition.hardcoded_resource(
        choose_extractors, description="The extractors of an execution, as its input names them."
    ),
}
"""What the workflow jobs' ops work with. A code location may let the same jobs choose among other extractors."""

STEERING_JOBS = [send_signal, cancel_workflow, resume_workflow]

__all__ = ["STEERING_JOBS", "WORKFLOW_JOBS", "WORKFLOW_RESOURCES"]
