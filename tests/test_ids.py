"""Ids: another entity's id is refused, new ids sort by time, derived ids never change."""

import copy
import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from beep_orchestration.errors import InvalidIdError
from beep_orchestration.ids import (
    EntityId,
    OrganizationId,
    WorkflowActivityId,
    WorkflowExecutionId,
    WorkflowRunId,
    WorkflowSignalId,
    execution_id_for_key,
    execution_id_for_run,
    uuid7,
)

ID_TYPES: list[type[EntityId]] = [
    WorkflowExecutionId,
    WorkflowActivityId,
    WorkflowSignalId,
    WorkflowRunId,
    OrganizationId,
]
ORGANIZATION = OrganizationId("shared_organization__00000000-0000-7000-8000-000000000001")
id_types = st.sampled_from(ID_TYPES)
rfc_uuids = st.uuids(version=4) | st.uuids(version=5)


def test_entities_have_the_names_of_the_specification() -> None:
    assert WorkflowExecutionId.entity == "knowledge_workflow_execution"
    assert WorkflowActivityId.entity == "knowledge_workflow_activity"
    assert WorkflowSignalId.entity == "knowledge_workflow_signal"
    assert len({id_type.entity for id_type in ID_TYPES}) == len(ID_TYPES)


@given(id_types, id_types, rfc_uuids)
def test_an_id_is_accepted_by_its_own_entity_only(own: type[EntityId], other: type[EntityId], value: uuid.UUID) -> None:
    text = f"{own.entity}__{value}"
    if own is other:
        assert other(text) == text
        return
    with pytest.raises(InvalidIdError) as refusal:
        other(text)
    assert refusal.value.field == other.field
    assert other.field.endswith("_id")
    assert other.entity in refusal.value.remedy


@given(id_types, st.text())
def test_a_tail_that_is_not_a_uuid_is_refused(id_type: type[EntityId], tail: str) -> None:
    with pytest.raises(InvalidIdError):
        id_type(f"{id_type.entity}__{tail}")


@pytest.mark.parametrize(
    "tail",
    [
        "",
        "00000000000070008000000000000001",
        "{00000000-0000-7000-8000-000000000001}",
        "urn:uuid:00000000-0000-7000-8000-000000000001",
        " 00000000-0000-7000-8000-000000000001",
        "00000000-0000-7000-8000-000000000001\n",
        "00000000-0000-7000-8000-00000000000\N{ARABIC-INDIC DIGIT ONE}",
        "00000000-0000-7000-c000-000000000001",  # the variant of another standard
        "00000000-0000-7000-8000-000000000001\x00",
    ],
)
def test_a_uuid_in_another_spelling_is_refused(tail: str) -> None:
    with pytest.raises(InvalidIdError):
        WorkflowExecutionId(f"{WorkflowExecutionId.entity}__{tail}")


@given(st.text())
def test_any_other_text_is_refused_with_the_form_of_an_id(text: str) -> None:
    with pytest.raises(InvalidIdError, match="knowledge_workflow_execution__<uuid>"):
        WorkflowExecutionId(text)


@given(rfc_uuids)
def test_letters_are_stored_in_lower_case(value: uuid.UUID) -> None:
    upper = f"{OrganizationId.entity}__{str(value).upper()}"
    assert OrganizationId(upper) == f"{OrganizationId.entity}__{value}"


def test_a_long_wrong_id_is_quoted_in_short() -> None:
    with pytest.raises(InvalidIdError) as refusal:
        WorkflowExecutionId("x" * 100_000)
    assert len(str(refusal.value)) < 400


def test_uuid7_has_the_version_and_variant_of_rfc_9562() -> None:
    made = [uuid7() for _ in range(100)]
    assert {(value.version, value.variant) for value in made} == {(7, uuid.RFC_4122)}


def test_uuid7_carries_the_time_of_its_creation() -> None:
    before = time.time_ns() // 1_000_000
    milliseconds = uuid7().int >> 80
    assert before <= milliseconds <= time.time_ns() // 1_000_000


def test_ids_made_later_sort_later(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = []
    for milliseconds in (0, 1, 255, 1_700_000_000_000, 1_700_000_000_001, 2**47):
        monkeypatch.setattr(time, "time_ns", lambda now=milliseconds: now * 1_000_000)
        ids.append(WorkflowExecutionId.new())
    assert ids == sorted(ids)


def test_new_ids_of_one_moment_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_000_000_000)
    assert len({WorkflowExecutionId.new() for _ in range(1_000)}) == 1_000


def test_derived_ids_are_stable_across_releases() -> None:
    """Stored executions are found again by these; another value here would start them twice."""
    by_key = execution_id_for_key(ORGANIZATION, "extraction", "order-17")
    by_run = execution_id_for_run("6f1c0c6e-3c0e-4b7e-9a51-0c6a0d0f0e11")
    assert by_key == "knowledge_workflow_execution__ecd22b20-e97e-5d0b-afb0-6360e86f7f90"
    assert by_run == "knowledge_workflow_execution__f4864671-17b0-5ee6-a607-ecc9e07b813f"


def test_derived_ids_are_of_version_5() -> None:
    assert uuid.UUID(execution_id_for_run("any").partition("__")[2]).version == 5


@given(st.lists(st.text("a:\x1f0123"), max_size=4), st.lists(st.text("a:\x1f0123"), max_size=4))
def test_derived_ids_are_equal_for_equal_parts_only(parts: list[str], others: list[str]) -> None:
    equal = WorkflowExecutionId.derived_from(*parts) == WorkflowExecutionId.derived_from(*others)
    assert equal == (parts == others)


def test_the_same_key_is_another_execution_in_another_organization_or_workflow_type() -> None:
    other = OrganizationId("shared_organization__00000000-0000-7000-8000-000000000002")
    ids = {
        execution_id_for_key(ORGANIZATION, "extraction", "k"),
        execution_id_for_key(other, "extraction", "k"),
        execution_id_for_key(ORGANIZATION, "batch_extraction", "k"),
        execution_id_for_run("k"),
    }
    assert len(ids) == 4


@given(id_types, rfc_uuids)
def test_pydantic_checks_and_keeps_the_type(id_type: type[EntityId], value: uuid.UUID) -> None:
    adapter = TypeAdapter(id_type)
    made = adapter.validate_python(f"{id_type.entity}__{value}")
    assert type(made) is id_type
    assert type(adapter.validate_json(adapter.dump_json(made))) is id_type


@pytest.mark.parametrize("value", [None, 7, b"knowledge_workflow_execution__", [], "knowledge_workflow_signal__x"])
def test_pydantic_reports_a_wrong_id_as_a_validation_error(value: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(WorkflowExecutionId).validate_python(value)


def test_a_copy_of_an_id_is_an_id() -> None:
    made = WorkflowExecutionId.new()
    copied = copy.deepcopy(made)
    assert (type(copied), copied) == (WorkflowExecutionId, made)
