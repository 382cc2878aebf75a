"""What an execution is started with, as it is stored.

An input may name a stored set of examples; from then on it has them itself, whatever becomes of the set.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from beep_orchestration.errors import InvalidInputError
from beep_orchestration.ids import OrganizationId
from beep_orchestration.models import Json
from beep_orchestration.persistence import Database, WorkflowPersistence
from beep_orchestration.workflow_types import EXTRACTION, WorkflowType

FIELD = "examples"


def stored_input(
    database: Database, organization_id: OrganizationId, kind: WorkflowType, raw: Mapping[str, Any] | BaseModel
) -> Json:
    """The input of an execution of that type, checked, with the examples that it names; `InvalidInputError`."""
    given = raw.model_dump() if isinstance(raw, BaseModel) else raw
    if kind is EXTRACTION and names_stored_examples(given):
        with database.transaction() as tables:
            given = with_stored_examples(tables, organization_id, given)
    return kind.parse_input(given).model_dump(mode="json")


def names_stored_examples(raw: object) -> bool:
    """Whether the input has a name, or nothing, in the place of its examples."""
    return isinstance(raw, Mapping) and FIELD in raw and (raw[FIELD] is None or isinstance(raw[FIELD], str))


def with_stored_examples(
    tables: WorkflowPersistence, organization_id: OrganizationId, raw: Mapping[str, Any]
) -> Mapping[str, Any]:
    """The input with the examples that it names in their place; without the field if it names none.

    Raises:
        InvalidInputError: the organization has no set of that name.
    """
    name = raw.get(FIELD, ())
    if name is None:
        return {key: value for key, value in raw.items() if key != FIELD}
    if not isinstance(name, str):
        return raw
    examples = tables.example_sets.find(organization_id, name)
    if examples is None:
        known = ", ".join(tables.example_sets.list_names(organization_id)) or "none yet"
        raise InvalidInputError(
            FIELD, f"no set is stored under {name!r}", f"store it with 'beep teach'; stored are: {known}"
        )
    return {**raw, FIELD: examples}
