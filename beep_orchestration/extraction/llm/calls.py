"""How the extractors reach a language model: every question goes through `Calls`, which accounts for it."""

from collections import Counter
from collections.abc import Callable
from threading import Lock
from typing import Protocol, TypeVar

from beep_orchestration.errors import InvalidAnswerError
from beep_orchestration.extraction.llm.language_model import LanguageModel, Reply
from beep_orchestration.extraction.llm.questions import A, Question, parse_answer

T = TypeVar("T")

Tally = Counter[str]
"""What was made of an answer: how many names were aligned anew, how many dropped and why, ..."""


class Calls(Protocol):
    """Asks one language model."""

    @property
    def identity(self) -> str:
        """Which model answers, and how it is asked; see `LanguageModel.identity`."""
        ...

    def ask(self, question: Question[A], check: Callable[[A, Tally], T]) -> T:
        """What `check` makes of the answer. One call at most, which is accounted for whatever comes of it.

        Raises:
            RetryLaterError, LanguageModelError, PermanentActivityError: see `LanguageModel.ask`.
            InvalidAnswerError: the answer is not what was asked for.
        """
        ...


def answer_of(reply: Reply, question: Question[A]) -> A:
    """The answer in a reply. Raises `InvalidAnswerError`, also for one that was cut."""
    if reply.is_cut:
        raise InvalidAnswerError(
            f"it was cut after {reply.usage.output_tokens} tokens; raise BEEP_LLM_MAXIMUM_OUTPUT_TOKENS, or lower "
            "options.chunk_size or options.batch_size"
        )
    return parse_answer(reply.content, question.answer_type)


class UnrecordedCalls:
    """`Calls` that keep their account in memory only: for extraction without durability."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._lock = Lock()
        self.tally: Tally = Counter()

    @property
    def identity(self) -> str:
        """As the protocol says."""
        return self._model.identity

    def ask(self, question: Question[A], check: Callable[[A, Tally], T]) -> T:
        """As the protocol says."""
        reply = self._model.ask(question)
        tally = Counter(calls=1, input_tokens=reply.usage.input_tokens, output_tokens=reply.usage.output_tokens)
        try:
            return check(answer_of(reply, question), tally)
        finally:
            with self._lock:
                self.tally.update(tally)
