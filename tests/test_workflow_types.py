"""What a workflow type says of its executions."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from beep_orchestration.errors import ConfigurationError
from beep_orchestration.workflow_types import EXTRACTION, WorkflowType

LONGEST = 200


class Order(BaseModel):
    """The input of a type of our own."""

    number: int = 0
    note: str | None = None


ORDER = WorkflowType(name="order", version=1, activity_types=(), input_model=Order)


@pytest.mark.parametrize(
    ("about", "order", "told"),
    [
        (None, Order(number=17, note="in haste"), None),
        ("number", Order(number=17), "17"),
        ("number", Order(), "0"),
        ("note", Order(note="in haste"), "in haste"),
        ("note", Order(), None),
        ("note", Order(note=" \n"), None),
        ("note", Order(note=" two\r\nlines\u2028and\ta half "), "two lines and a half"),
        ("note", Order(note="n" * LONGEST), "n" * LONGEST),
        ("note", Order(note="n" * (LONGEST + 1)), "n" * (LONGEST - 1) + "…"),
    ],
)
def test_an_execution_is_about_what_the_named_field_says(about: str | None, order: Order, told: str | None) -> None:
    assert replace(ORDER, about=about).about_of(order.model_dump(mode="json")) == told


@given(st.text())
def test_what_an_execution_is_about_is_one_short_line_or_nothing(document_id: str) -> None:
    about = EXTRACTION.about_of({"document_id": document_id, "text": "Ada met Charles."})
    if about is None:
        assert not document_id.strip()
    else:
        assert about.splitlines() == [about]
        assert about == about.strip()
        assert len(about) <= LONGEST


def test_a_field_that_the_input_does_not_have_is_refused_where_the_type_is_declared() -> None:
    with pytest.raises(ConfigurationError, match=r"'order': about='title' is no field of .* one of: number, note"):
        replace(ORDER, about="title")
