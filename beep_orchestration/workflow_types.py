"""The registered kinds of workflow: what each is called, what it takes, and which Dagster job and ops run it."""

import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from pydantic import BaseModel, Field

from beep_orchestration.errors import ConfigurationError, InvalidInputError, UnknownWorkflowTypeError
from beep_orchestration.extraction import parse_extraction_input
from beep_orchestration.extraction.llm.language_model import require_llm
from beep_orchestration.extraction.model import Chunk, Entity, ExtractionInput, Graph, Mention, Relation
from beep_orchestration.extraction.review import REVIEW_SIGNALS
from beep_orchestration.models import GRANT_BUDGET_SIGNAL, PAUSE_SIGNAL, RESUME_SIGNAL, Json, Model, RetryPolicy
from beep_orchestration.refusals import parse_object
from beep_orchestration.settings import load_settings


@dataclass(frozen=True)
class ActivityType:
    """A stage of a workflow: one op, whose activities each yield an `output_type`.

    `timeout` and `heartbeat_timeout` are seconds, for one attempt; `on_failure` says what comes after the last one. See
    `Activity`.
    """

    name: str
    op_name: str
    output_type: Any
    retry: RetryPolicy = RetryPolicy()  # noqa: RUF009 - immutable
    timeout: float | None = 3_600.0
    heartbeat_timeout: float | None = None
    on_failure: Literal["fail", "pause"] = "fail"


class Steering(Model):
    """The payload of `pause` and `resume`, which every workflow type takes."""

    by: str | None = Field(default=None, max_length=200, description="who sends it")
    note: str | None = Field(default=None, max_length=2_000)


_LONGEST_ABOUT = 200

BUILT_IN_SIGNALS: Mapping[str, type[BaseModel]] = MappingProxyType({PAUSE_SIGNAL: Steering, RESUME_SIGNAL: Steering})


@dataclass(frozen=True, kw_only=True)
class WorkflowType:
    """A kind of workflow; the activity types are in their order, and run by the job `job_name`.

    `parse` is the door, if `input_model` alone is not: it raises `InvalidInputError`. What it let in is read again with
    `input_model` alone, so that a limit which was lowered since does not refuse what was accepted.

    `about` is the field of the input that tells people which execution they have before them: lists show it.

    `signals` are those that may be sent, with the models of their payloads. `resumes_versions` are the older versions
    whose executions this code may carry on; those of any other version are refused with `WorkflowVersionError`.
    """

    name: str
    version: int
    activity_types: tuple[ActivityType, ...]
    input_model: type[BaseModel]
    parse: Callable[[object], BaseModel] | None = None
    about: str | None = None
    signals: Mapping[str, type[BaseModel]] = field(default_factory=dict)
    resumes_versions: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        """Raise `ConfigurationError` if `about` is no field of the input."""
        if self.about is not None and self.about not in self.input_model.model_fields:
            known = ", ".join(self.input_model.model_fields)
            raise ConfigurationError(
                f"workflow type {self.name!r}: about={self.about!r} is no field of its input; name one of: {known}"
            )

    @property
    def job_name(self) -> str:
        """The Dagster job that runs it."""
        return self.name

    def activity_type_of(self, op_name: str) -> ActivityType:
        """The stage that an op runs."""
        return next(stage for stage in self.activity_types if stage.op_name == op_name)

    def parse_input(self, raw: object) -> BaseModel:
        """The input, checked; raises `InvalidInputError`."""
        return parse_object(self.input_model, raw, "input") if self.parse is None else self.parse(raw)

    def about_of(self, stored: Json) -> str | None:
        """What the execution of a stored input is about, in one line that is cut short after 200 characters.

        None if the type does not say which field that is, or the field is empty.
        """
        value = None if self.about is None else stored.get(self.about)
        line = "" if value is None else " ".join(str(value).split())
        return (line if len(line) <= _LONGEST_ABOUT else f"{line[: _LONGEST_ABOUT - 1]}…") or None

    def signal_model(self, signal_name: str) -> type[BaseModel]:
        """The payload's model; raises `InvalidInputError` for a signal that this type does not take."""
        known = {**BUILT_IN_SIGNALS, **self.signals}
        try:
            return known[signal_name]
        except KeyError:
            raise InvalidInputError(
                "signal_name",
                f"{signal_name!r} is no signal of workflow type {self.name!r}",
                f"use one of: {', '.join(sorted(known))}",
            ) from None

    def can_carry(self, version: int) -> bool:
        """Whether this code may carry on an execution of that version."""
        return version == self.version or version in self.resumes_versions


def _parse_extraction_input(raw: object) -> BaseModel:
    settings = load_settings()
    parsed = parse_extraction_input(raw, max_characters=settings.maximum_document_characters)
    if parsed.extractor == "llm":
        require_llm(settings, parsed.options)
    return parsed


class Grant(Model):
    """Payload of the signal `grant_budget`: an execution that is parked for its budget may spend as much again."""

    by: str = Field(min_length=1, max_length=200, description="who grants it")


CHUNK = ActivityType("chunk", "chunk_text", list[Chunk])
MENTIONS = ActivityType("mentions", "extract_mentions", list[Mention])
ENTITIES = ActivityType("entities", "classify_entities", list[Entity])
RELATIONS = ActivityType("relations", "extract_relations", list[Relation])
ASSEMBLE = ActivityType("assemble", "assemble_graph", Graph)

EXTRACTION = WorkflowType(
    name="extraction",
    version=1,
    activity_types=(CHUNK, MENTIONS, ENTITIES, RELATIONS, ASSEMBLE),
    parse=_parse_extraction_input,
    input_model=ExtractionInput,
    about="document_id",
    signals={**REVIEW_SIGNALS, GRANT_BUDGET_SIGNAL: Grant},
)

WORKFLOW_TYPES = {EXTRACTION.name: EXTRACTION}


def register(workflow_type: WorkflowType) -> None:
    """Let a type be started and carried by this process; raises `ConfigurationError` if its name is taken."""
    if WORKFLOW_TYPES.setdefault(workflow_type.name, workflow_type) is not workflow_type:
        raise ConfigurationError(f"two workflow types are called {workflow_type.name!r}; rename one of them")


def load_workflow_modules() -> None:
    """Import the modules of `BEEP_WORKFLOW_MODULES`, which register their types; raises `ConfigurationError`.

    They are looked for in the present folder too, as Dagster looks for code locations.
    """
    names = (load_settings().workflow_modules or "").split(",")
    for name in filter(None, map(str.strip, names)):
        if str(Path.cwd()) not in sys.path:
            sys.path.append(str(Path.cwd()))
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ConfigurationError(
                f"BEEP_WORKFLOW_MODULES: {name} cannot be imported: {error}; correct the variable or install the module"
            ) from error


def get_workflow_type(name: str) -> WorkflowType:
    """The registered type of that name; raises `UnknownWorkflowTypeError`."""
    if name not in WORKFLOW_TYPES:
        load_workflow_modules()
    try:
        return WORKFLOW_TYPES[name]
    except KeyError:
        known = ", ".join(sorted(WORKFLOW_TYPES))
        raise UnknownWorkflowTypeError(
            "workflow_type",
            f"{name!r} is not registered here, where there are: {known}",
            "name its module in BEEP_WORKFLOW_MODULES",
        ) from None
