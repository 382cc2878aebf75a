"""The registered kinds of workflow: what each is called, what it takes, and which Dagster job and ops run it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from beep_orchestration.errors import UnknownWorkflowTypeError
from beep_orchestration.extraction import parse_extraction_input
from beep_orchestration.extraction.llm.language_model import require_llm
from beep_orchestration.extraction.model import Chunk, Entity, ExtractionInput, Graph, Mention, Relation
from beep_orchestration.models import RetryPolicy
from beep_orchestration.settings import load_settings


@dataclass(frozen=True)
class ActivityType:
    """A stage of a workflow: one op, whose activities each yield an `output_type`.

    `timeout` and `heartbeat_timeout` are seconds, for one attempt; see `Activity`.
    """

    name: str
    op_name: str
    output_type: Any
    retry: RetryPolicy = RetryPolicy()  # noqa: RUF009 - immutable
    timeout: float | None = 3_600.0
    heartbeat_timeout: float | None = None


@dataclass(frozen=True, kw_only=True)
class WorkflowType:
    """A kind of workflow; the activity types are in their order.

    `parse_input` is the door: it raises `InvalidInputError`. What it let in is read again with `input_model` alone, so
    that a limit which was lowered since does not refuse what was accepted.
    """

    name: str
    version: int
    job_name: str
    activity_types: tuple[ActivityType, ...]
    parse_input: Callable[[object], BaseModel]
    input_model: type[BaseModel]

    def activity_type_of(self, op_name: str) -> ActivityType:
        """The stage that an op runs."""
        return next(stage for stage in self.activity_types if stage.op_name == op_name)


def _parse_extraction_input(raw: object) -> BaseModel:
    settings = load_settings()
    parsed = parse_extraction_input(raw, max_characters=settings.maximum_document_characters)
    if parsed.extractor == "llm":
        require_llm(settings, parsed.options)
    return parsed


CHUNK = ActivityType("chunk", "chunk_text", list[Chunk])
MENTIONS = ActivityType("mentions", "extract_mentions", list[Mention])
ENTITIES = ActivityType("entities", "classify_entities", list[Entity])
RELATIONS = ActivityType("relations", "extract_relations", list[Relation])
ASSEMBLE = ActivityType("assemble", "assemble_graph", Graph)

EXTRACTION = WorkflowType(
    name="extraction",
    version=1,
    job_name="extraction",
    activity_types=(CHUNK, MENTIONS, ENTITIES, RELATIONS, ASSEMBLE),
    parse_input=_parse_extraction_input,
    input_model=ExtractionInput,
)

WORKFLOW_TYPES = {EXTRACTION.name: EXTRACTION}


def get_workflow_type(name: str) -> WorkflowType:
    """The registered type of that name; raises `UnknownWorkflowTypeError`."""
    try:
        return WORKFLOW_TYPES[name]
    except KeyError:
        known = ", ".join(sorted(WORKFLOW_TYPES))
        raise UnknownWorkflowTypeError("workflow_type", f"{name!r} is not registered", f"use one of: {known}") from None
