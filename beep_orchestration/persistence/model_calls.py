"""Rows of `knowledge_workflow_model_call`: what language models were asked, and what it cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import distinct_on, insert

from beep_orchestration.ids import OrganizationId, WorkflowExecutionId, WorkflowModelCallId
from beep_orchestration.models import GRANT_BUDGET_SIGNAL, ModelCallStatus, ModelUsage
from beep_orchestration.persistence.executions import CLOCK
from beep_orchestration.tables import execution, model_call, signal

_FREE = (ModelCallStatus.REFUSED, ModelCallStatus.RECALLED)
_UNANSWERED = (ModelCallStatus.SENT, ModelCallStatus.LOST)
_USED = (ModelCallStatus.ANSWERED, ModelCallStatus.RECALLED)
_TOKENS = model_call.c.input_tokens + model_call.c.output_tokens
_IS_PAID = model_call.c.status.not_in(_FREE)
USAGE = (
    func.count().filter(_IS_PAID).label("calls"),
    func.count().filter(model_call.c.status == ModelCallStatus.RECALLED).label("recalled"),
    func.count().filter(model_call.c.status.in_(_UNANSWERED)).label("unanswered"),
    func.count().filter(_IS_PAID, _TOKENS.is_not(None), model_call.c.cost.is_(None)).label("unpriced"),
    func.coalesce(func.sum(model_call.c.input_tokens).filter(_IS_PAID), 0).label("input_tokens"),
    func.coalesce(func.sum(model_call.c.output_tokens).filter(_IS_PAID), 0).label("output_tokens"),
    func.coalesce(func.sum(model_call.c.cost), 0).label("cost"),
)


@dataclass(frozen=True, kw_only=True)
class NewModelCall:
    """A call that is about to be made, or that need not be made because its answer is recalled."""

    id: WorkflowModelCallId
    workflow_execution_id: WorkflowExecutionId
    organization_id: OrganizationId
    account: str | None
    activity_name: str
    activity_type: str
    model: str
    question_digest: str
    expected_tokens: int


@dataclass(frozen=True, kw_only=True)
class RecordedAnswer:
    """An answer as it was received, and what it consumed then."""

    answer: str
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, kw_only=True)
class Spending:
    """What an execution may have spent since it was started or resumed: calls without an answer count as expected.

    `grants` is how often its budget was granted in that time, the first time included.
    """

    tokens: int
    cost: Decimal
    grants: int


@dataclass(frozen=True, kw_only=True)
class UsedAnswer:
    """The call whose answer became the checkpoint of an activity: its tokens when it was paid, and its tally."""

    input_tokens: int
    output_tokens: int
    tally: Mapping[str, int]


class ModelCalls:
    """Saves and loads calls to language models within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin(self, new: NewModelCall) -> None:
        """Store a call as `sent`. Earlier calls of the activity that still are have lost their process: `lost`."""
        lost = (
            update(model_call)
            .where(
                model_call.c.workflow_execution_id == new.workflow_execution_id,
                model_call.c.activity_name == new.activity_name,
                model_call.c.status == ModelCallStatus.SENT,
            )
            .values(status=ModelCallStatus.LOST, ended_at=CLOCK, error="its process ended before the answer came")
        )
        self._connection.execute(lost)
        statement = insert(model_call).values(vars(new) | {"status": ModelCallStatus.SENT, "started_at": CLOCK})
        self._connection.execute(statement)

    def end(
        self,
        call_id: WorkflowModelCallId,
        status: ModelCallStatus,
        *,
        tokens: tuple[int, int] | None = None,
        cost: Decimal | None = None,
        answer: str | None = None,
        tally: Mapping[str, int] | None = None,
        error: str | None = None,
    ) -> None:
        """Store what came of a call; also of one that was taken for lost meanwhile."""
        input_tokens, output_tokens = tokens or (None, None)
        statement = (
            update(model_call)
            .where(model_call.c.id == call_id)
            .values(
                status=status,
                input_tokens=input_tokens,
                output_tokens=output_tokens,
                cost=cost,
                answer=answer,
                tally=None if tally is None else dict(tally),
                error=error,
                ended_at=CLOCK,
            )
        )
        self._connection.execute(statement)

    def find_answer(self, organization_id: OrganizationId, model: str, question_digest: str) -> RecordedAnswer | None:
        """The newest answer of this model that the organization has paid for."""
        statement = (
            select(model_call.c.answer, model_call.c.input_tokens, model_call.c.output_tokens)
            .where(
                model_call.c.organization_id == organization_id,
                model_call.c.question_digest == question_digest,
                model_call.c.model == model,
                model_call.c.answer.is_not(None),
            )
            .order_by(model_call.c.id.desc())
            .limit(1)
        )
        row = self._connection.execute(statement).one_or_none()
        return None if row is None else RecordedAnswer(**row._mapping)  # noqa: SLF001 - public name

    def recall(self, new: NewModelCall, answer: RecordedAnswer, tally: Mapping[str, int]) -> None:
        """Store that an activity used an answer that was paid before: it costs nothing."""
        values = vars(new) | {
            "status": ModelCallStatus.RECALLED,
            "input_tokens": answer.input_tokens,
            "output_tokens": answer.output_tokens,
            "cost": Decimal(0),
            "tally": dict(tally),
            "started_at": CLOCK,
            "ended_at": CLOCK,
        }
        self._connection.execute(insert(model_call).values(values))

    def load_spending(self, execution_id: WorkflowExecutionId, account: str | None) -> Spending:
        """What the execution may have spent, and how often its budget was granted, since it was started or resumed.

        With an account, what all executions of the organization with that account have: ever, or since this one was
        resumed. So those that are resumed together share one more budget.
        """
        begun = func.coalesce(execution.c.resumed_at, execution.c.started_at)
        granted = (
            select(func.count())
            .where(
                signal.c.workflow_execution_id == execution_id,
                signal.c.signal_name == GRANT_BUDGET_SIGNAL,
                signal.c.consumed_by.is_not(None),
                signal.c.created_at >= begun,
            )
            .correlate(execution)
            .scalar_subquery()
        )
        statement = (
            select(
                func.coalesce(func.sum(func.coalesce(_TOKENS, model_call.c.expected_tokens)), 0),
                func.coalesce(func.sum(model_call.c.cost), 0),
                func.coalesce(func.max(granted), 0),
            )
            .select_from(execution)
            .outerjoin(
                model_call,
                and_(_charged_to(account), model_call.c.status.not_in(_FREE)),
            )
            .where(execution.c.id == execution_id)
        )
        tokens, cost, grants = self._connection.execute(statement).one()
        return Spending(tokens=int(tokens), cost=Decimal(cost), grants=1 + int(grants))

    def load_usage_of_account(self, organization_id: OrganizationId, account: str | None) -> dict[str, ModelUsage]:
        """What the organization's executions with that account, or without one all, have consumed, by activity type."""
        is_meant = model_call.c.organization_id == organization_id
        if account is not None:
            is_meant &= model_call.c.account == account
        key = model_call.c.activity_type
        statement = select(key, *USAGE).where(is_meant).group_by(key).order_by(key)
        return {activity_type: _usage(sums) for activity_type, *sums in self._connection.execute(statement)}

    def load_used_answers(self, execution_id: WorkflowExecutionId) -> dict[str, UsedAnswer]:
        """By activity the call whose answer it used last."""
        statement = (
            select(
                model_call.c.activity_name, model_call.c.input_tokens, model_call.c.output_tokens, model_call.c.tally
            )
            .where(model_call.c.workflow_execution_id == execution_id, model_call.c.status.in_(_USED))
            .ext(distinct_on(model_call.c.activity_name))
            .order_by(model_call.c.activity_name, model_call.c.started_at.desc())
        )
        return {
            row.activity_name: UsedAnswer(
                input_tokens=row.input_tokens, output_tokens=row.output_tokens, tally=row.tally or {}
            )
            for row in self._connection.execute(statement)
        }


def _charged_to(account: str | None) -> ColumnElement[bool]:
    """The calls that count against the budget of an execution."""
    if account is None:
        begun = func.coalesce(execution.c.resumed_at, execution.c.started_at)
        return and_(model_call.c.workflow_execution_id == execution.c.id, model_call.c.started_at >= begun)
    return and_(
        model_call.c.organization_id == execution.c.organization_id,
        model_call.c.account == account,
        or_(execution.c.resumed_at.is_(None), model_call.c.started_at >= execution.c.resumed_at),
    )


def _usage(sums: Sequence[Any]) -> ModelUsage:
    *counts, cost = sums
    names = (column.name for column in USAGE[:-1])
    return ModelUsage(**{name: int(count) for name, count in zip(names, counts, strict=True)}, cost=float(cost))
