"""A busy provider does not end a scoring that has cost money."""

from collections.abc import Callable
from typing import Any

import pytest

from beep_orchestration.errors import InvalidAnswerError, LanguageModelError, RetryLaterError
from benchmarks.scores.calls import PatientCalls

FAILURES = [
    RetryLaterError("busy", 1.0),
    LanguageModelError("cut off", may_be_paid=True),
    InvalidAnswerError("no JSON"),
]


class Scripted:
    """Raises what it is given, and answers when that is used up."""

    identity = "scripted"

    def __init__(self, failures: list[Exception]) -> None:
        self.failures = failures
        self.asked = 0

    def ask(self, question: Any, check: Callable[[Any, Any], Any]) -> Any:
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)
        return check(question, None)


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
def test_a_question_is_asked_up_to_six_times(failure: Exception) -> None:
    calls = Scripted([failure] * 5)
    assert PatientCalls(calls).ask("question", lambda answer, _: answer) == "question"
    assert calls.asked == 6


def test_the_seventh_time_is_not_tried() -> None:
    calls = Scripted([FAILURES[0]] * 6)
    with pytest.raises(RetryLaterError):
        PatientCalls(calls).ask("question", lambda answer, _: answer)
    assert calls.asked == 6
