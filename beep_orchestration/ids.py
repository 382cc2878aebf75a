"""Ids: `<entity>__<uuid>`, checked where they enter, so that an id of another entity is refused.

New ids are UUID version 7 (RFC 9562, section 5.7), which sort by time of creation. Ids that must come out equal for
equal inputs are UUID version 5 (section 5.5): the execution of an idempotency key, of a child's name, or of a run
launched in the UI.
"""

import re
import secrets
import time
import uuid
from typing import Any, ClassVar, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from beep_orchestration.errors import InvalidIdError

_NAMESPACE = uuid.UUID("5b0f2c1e-7c57-5d0e-9f0a-2f7f3c3d8a11")
_UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
"""The text of a UUID of RFC 9562's variant (section 4.1), whatever its version."""


class EntityId(str):
    """The text of an id. Construction checks it and raises `InvalidIdError`; the text is stored in lower case."""

    entity: ClassVar[str]
    field: ClassVar[str]
    """What callers know it by."""

    __slots__ = ()

    def __new__(cls, value: str) -> Self:  # noqa: D102 - the class docstring says it
        if type(value) is cls:
            return value
        entity, separator, tail = str(value).partition("__")
        if not separator or entity != cls.entity:
            raise InvalidIdError(
                cls.field, f"{str(value)[:80]!r} is not an id of {cls.entity}", f"give {cls.entity}__<uuid>"
            )
        return super().__new__(cls, f"{cls.entity}__{_checked_uuid(cls, tail)}")

    @classmethod
    def new(cls) -> Self:
        """A new id; ids made later sort later, to the millisecond."""
        return super().__new__(cls, f"{cls.entity}__{uuid7()}")  # which needs no check

    @classmethod
    def derived_from(cls, *parts: str) -> Self:
        """The same id for the same parts, always."""
        name = "\x1f".join(f"{len(part)}:{part}" for part in parts)
        return cls(f"{cls.entity}__{uuid.uuid5(_NAMESPACE, name)}")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(_pydantic_validator(cls), handler(str))


class WorkflowExecutionId(EntityId):
    """Names one execution."""

    entity = "knowledge_workflow_execution"
    field = "execution_id"
    __slots__ = ()


class WorkflowActivityId(EntityId):
    """Names one attempt of one activity."""

    entity = "knowledge_workflow_activity"
    field = "activity_id"
    __slots__ = ()


class WorkflowSignalId(EntityId):
    """Names one signal."""

    entity = "knowledge_workflow_signal"
    field = "signal_id"
    __slots__ = ()


class WorkflowRunId(EntityId):
    """Names the row of one Dagster run."""

    entity = "knowledge_workflow_run"
    field = "run_id"
    __slots__ = ()


class WorkflowModelCallId(EntityId):
    """Names one call to a language model."""

    entity = "knowledge_workflow_model_call"
    field = "model_call_id"
    __slots__ = ()


class OrganizationId(EntityId):
    """Names the owner of rows."""

    entity = "shared_organization"
    field = "organization_id"
    __slots__ = ()


def uuid7() -> uuid.UUID:
    """A UUID of version 7: 48 bits of Unix milliseconds, then 74 random bits (RFC 9562, section 5.7)."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (1 << 48) - 1) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=value)


def execution_id_for_key(organization_id: OrganizationId, workflow_type: str, key: str) -> WorkflowExecutionId:
    """The execution that an idempotency key names within an organization and a workflow type."""
    return WorkflowExecutionId.derived_from("key", organization_id, workflow_type, key)


def execution_id_for_child(parent_id: WorkflowExecutionId, name: str) -> WorkflowExecutionId:
    """The execution that another one starts as its child of that name."""
    return WorkflowExecutionId.derived_from("child", parent_id, name)


def execution_id_for_run(dagster_run_id: str) -> WorkflowExecutionId:
    """The execution of a Dagster run that was launched without one, in the UI or by a sensor."""
    return WorkflowExecutionId.derived_from("run", dagster_run_id)


def _checked_uuid(cls: type[EntityId], text: str) -> str:
    lowered = text.lower()
    if _UUID.fullmatch(lowered) is None:
        raise InvalidIdError(cls.field, f"{text[:80]!r} is not a UUID", f"give {cls.entity}__<uuid>")
    return lowered


def _pydantic_validator(cls: type[EntityId]) -> Any:
    def validate(value: str) -> EntityId:
        try:
            return cls(value)
        except InvalidIdError as error:
            context = {"problem": error.problem, "remedy": error.remedy}
            raise PydanticCustomError("invalid_id", "{problem}; {remedy}", context) from error

    return validate
