"""Calls to a language model that bear with its provider, as the workflow's activities do."""

from collections.abc import Callable
from typing import TypeVar

from beep_orchestration.errors import LanguageModelError, RetryLaterError
from beep_orchestration.extraction.llm.calls import Calls, Tally
from beep_orchestration.extraction.llm.questions import A, Question

T = TypeVar("T")

_MOST_ATTEMPTS = 6


class PatientCalls:
    """`Calls` that ask again, up to six times in all, where the provider is busy or an answer is missing or useless."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    @property
    def identity(self) -> str:
        """As the protocol says."""
        return self._calls.identity

    def ask(self, question: Question[A], check: Callable[[A, Tally], T]) -> T:
        """As the protocol says, but for the number of calls; the model itself waits as long as its provider says."""
        for _ in range(_MOST_ATTEMPTS - 1):
            try:
                return self._calls.ask(question, check)
            except (RetryLaterError, LanguageModelError):
                continue
        return self._calls.ask(question, check)
