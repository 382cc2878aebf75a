"""A workflow that can be called off: what it did is undone, which no cancel does."""

import logging
from functools import partial
from typing import Any

import dagster as dg

from beep_orchestration.workflow_types import ActivityType, WorkflowType
from beep_orchestration.workflows import Stage, stage_op, workflow_job


class Journey(dg.Config):
    """The input, and the form in the launchpad."""

    city: str = "London"


class Answer(dg.Config):
    """The payload of the signals `confirm` and `call_off`."""

    by: str


class CalledOffError(Exception):
    """Somebody has called the booking off."""


BOOKING = ActivityType("booking", "book", str)
SIGNALS = {"confirm": Answer, "call_off": Answer}
BOOKING_OF_A_JOURNEY = WorkflowType(
    name="booking", version=1, activity_types=(BOOKING,), input_model=Journey, about="city", signals=SIGNALS
)


def reserve(what: str, city: str) -> str:
    """Where a hotel or a railway would be asked; its number for what is reserved."""
    return f"{what} in {city}, number 17"


def give_back(reserved: str) -> None:
    """Where it would be told that nobody comes."""
    logging.getLogger(__name__).info("given back: %s", reserved)


@stage_op(BOOKING, config=Journey)
def book(stage: Stage) -> list[Any]:
    """Reserves, then waits for a word. Called off it fails, and gives back what it had reserved."""
    reservations = [
        stage.activity(
            partial(reserve, what, stage.input.city),
            input=stage.input,
            code_version="1",
            name=f"booking-{what}",
            compensate=give_back,
        )
        for what in ("seat", "room")
    ]
    booked = stage.run(reservations)
    answer = stage.await_signal("confirm", "call_off")
    if answer is not None and answer.name == "call_off":
        raise CalledOffError(f"called off by {answer.payload.by}")
    stage.complete({"booked": booked})
    return booked


@workflow_job(BOOKING_OF_A_JOURNEY)
def booking() -> None:
    """A seat and a room, both or neither."""
    book()
