"""Calls to language models that are recorded: each is a row before it is made, and its answer before it is used."""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from beep_orchestration.errors import (
    BudgetUsedUpError,
    LanguageModelError,
    PermanentActivityError,
    RetryLaterError,
)
from beep_orchestration.extraction.llm.calls import Tally, answer_of
from beep_orchestration.extraction.llm.language_model import LanguageModel, Reply
from beep_orchestration.extraction.llm.questions import A, Question, parse_answer
from beep_orchestration.extraction.model import ExtractionOptions, LanguageModelStatistics
from beep_orchestration.ids import OrganizationId, WorkflowExecutionId, WorkflowModelCallId
from beep_orchestration.models import ModelCallStatus
from beep_orchestration.persistence import Database
from beep_orchestration.persistence.model_calls import NewModelCall, RecordedAnswer
from beep_orchestration.projections import storable_text

T = TypeVar("T")

_CHARACTERS_PER_TOKEN = 3  # or more, in prose; what a call is expected to consume is guessed from it

_activity: ContextVar[tuple[str, str]] = ContextVar("activity", default=("", ""))


@contextmanager
def calling_for(activity_type: str, activity_name: str) -> Iterator[None]:
    """Within the block, and in this thread, calls are made for that activity."""
    token = _activity.set((activity_type, activity_name))
    try:
        yield
    finally:
        _activity.reset(token)


class RecordedCalls:
    """`Calls` for one execution; see there.

    A question is stored before it is sent, so that no call that may be paid is unknown, and its answer as soon as it
    has come. If its process dies before the activity's checkpoint, the next attempt recalls the answer and nothing is
    paid twice; an answer that never came may be. What the organization has paid for once is recalled by its other
    executions as well, unless that is switched off. An answer that cannot be used is accounted for, and not recalled.

    The budget is checked before each call, on what was spent and what calls under way are expected to take: one call
    for each of them can go beyond it. With an account it is checked on what all executions of that account have spent.
    """

    def __init__(
        self,
        database: Database,
        execution_id: WorkflowExecutionId,
        organization_id: OrganizationId,
        model: LanguageModel,
        options: ExtractionOptions,
        *,
        recalls: bool,
    ) -> None:
        self._database = database
        self._execution_id = execution_id
        self._organization_id = organization_id
        self._model = model
        self._options = options
        self._recalls = recalls
        self._one_at_a_time = threading.Lock()

    @property
    def identity(self) -> str:
        """As the protocol says."""
        return self._model.identity

    def ask(self, question: Question[A], check: Callable[[A, Tally], T]) -> T:
        """As the protocol says; also raises `BudgetUsedUpError`, and `DatabaseUnavailableError`."""
        call = self._new_call(question)
        recorded = self._find(call)
        if recorded is not None:
            tally: Tally = Counter()
            result = check(parse_answer(recorded.answer, question.answer_type), tally)
            with self._database.transaction() as tables:
                tables.model_calls.recall(call, recorded, tally)
            return result
        self._begin(call)
        reply = self._asked(call, question)
        return self._used(call, reply, question, check)

    def _new_call(self, question: Question[A]) -> NewModelCall:
        activity_type, activity_name = _activity.get()
        return NewModelCall(
            id=WorkflowModelCallId.new(),
            workflow_execution_id=self._execution_id,
            organization_id=self._organization_id,
            account=self._options.account,
            activity_name=activity_name,
            activity_type=activity_type,
            model=self._model.identity,
            question_digest=question.digest,
            expected_tokens=question.length // _CHARACTERS_PER_TOKEN,
        )

    def _find(self, call: NewModelCall) -> RecordedAnswer | None:
        if not self._recalls:
            return None
        with self._database.transaction() as tables:
            return tables.model_calls.find_answer(call.organization_id, call.model, call.question_digest)

    def _begin(self, call: NewModelCall) -> None:
        with self._one_at_a_time, self._database.transaction() as tables:
            spent = tables.model_calls.load_spending(self._execution_id, self._options.account)
            tokens, cost = self._options.token_budget, self._options.cost_budget
            if tokens is not None and spent.tokens >= tokens * spent.grants:
                raise BudgetUsedUpError("token_budget", f"{tokens:,} tokens", f"{spent.tokens:,}")
            if cost is not None and spent.cost >= cost * spent.grants:
                raise BudgetUsedUpError("cost_budget", f"{cost:g}", f"{spent.cost:.4f}")
            tables.model_calls.begin(call)

    def _asked(self, call: NewModelCall, question: Question[A]) -> Reply:
        try:
            return self._model.ask(question)
        except (RetryLaterError, PermanentActivityError) as error:
            self._end(call, ModelCallStatus.REFUSED, error)
            raise
        except LanguageModelError as error:
            self._end(call, ModelCallStatus.LOST if error.may_be_paid else ModelCallStatus.REFUSED, error)
            raise

    def _used(self, call: NewModelCall, reply: Reply, question: Question[A], check: Callable[[A, Tally], T]) -> T:
        tally: Tally = Counter()
        tokens = reply.usage.input_tokens, reply.usage.output_tokens
        try:
            result = check(answer_of(reply, question), tally)
        except Exception as error:
            self._end(call, ModelCallStatus.UNUSABLE, error, reply)
            raise
        answer = reply.content if self._recalls else None
        with self._database.transaction() as tables:
            tables.model_calls.end(
                call.id, ModelCallStatus.ANSWERED, tokens=tokens, cost=reply.usage.cost, answer=answer, tally=tally
            )
        return result

    def _end(self, call: NewModelCall, status: ModelCallStatus, error: Exception, reply: Reply | None = None) -> None:
        usage = reply.usage if reply else None
        with self._database.transaction() as tables:
            tables.model_calls.end(
                call.id,
                status,
                tokens=(usage.input_tokens, usage.output_tokens) if usage else None,
                cost=usage.cost if usage else None,
                error=storable_text(str(error)),
            )


def load_statistics(
    database: Database, execution_id: WorkflowExecutionId, activities: Collection[str]
) -> LanguageModelStatistics | None:
    """What these completed activities had from a language model; None if nothing. The same whoever paid and when."""
    with database.transaction() as tables:
        used = tables.model_calls.load_used_answers(execution_id)
    answers = [answer for name, answer in sorted(used.items()) if name in activities]
    if not answers:
        return None
    tally: Tally = Counter()
    for answer in answers:
        tally.update(answer.tally)
    return LanguageModelStatistics(
        answers=len(answers),
        input_tokens=sum(answer.input_tokens for answer in answers),
        output_tokens=sum(answer.output_tokens for answer in answers),
        tally=dict(sorted(tally.items())),
    )
