"""Real workers ask an endpoint that fails, and are killed meanwhile: cases 2, 3, 37-39 of the catalogue, with money."""

from collections import Counter
from collections.abc import Sequence

import pytest

from beep_orchestration.extraction import extract, parse_extraction_input
from beep_orchestration.extraction.llm import llm_extractors
from beep_orchestration.extraction.llm.calls import UnrecordedCalls
from beep_orchestration.extraction.llm.language_model import LanguageModel
from beep_orchestration.models import Json
from beep_orchestration.settings import load_settings
from tests.faults.documents import document
from tests.faults.installation import Installation
from tests.faults.invariants import (
    broken_histories,
    broken_signals,
    double_checkpoints,
    leftovers,
    unended,
    wait_until_idle,
    writes_of_old_epochs,
)
from tests.llm.endpoint import PASSING, Endpoint, Fault, PlanOfEach
from tests.waiting import wait_until

pytestmark = pytest.mark.integration

LIMIT_SECONDS = 180.0


@pytest.fixture
def llm(shared_endpoint: Endpoint) -> Endpoint:
    """The endpoint, whose account begins with the test."""
    shared_endpoint.plan = lambda _question, _tries: None
    shared_endpoint.calls.clear()
    shared_endpoint._tries.clear()
    return shared_endpoint


def asking(chunks: int, seed: int, *, concurrency: int = 2) -> Json:
    """A made-up document for the extractor `llm`."""
    return document(chunks, seed, concurrency=concurrency) | {"extractor": "llm"}


def entities_and_relations(graph: Json) -> Json:
    return {name: graph[name] for name in ("entities", "relations")}


def assert_nothing_lost_or_doubled(installation: Installation, llm: Endpoint, executions: dict[str, Json]) -> None:
    """Every graph is that of the same answers in memory; the tables and the endpoint agree about what was paid.

    A question is answered twice only if the first answer was on its way when its worker was killed: that one is known
    as `lost`, as is one whose worker was killed, or out of patience, before it had arrived. None is asked again once
    its answer has come.
    """
    installation.wait_completed(list(executions), LIMIT_SECONDS)
    wait_until_idle(installation)
    llm.plan = lambda _question, _tries: None
    account, answers = list(llm.calls), llm.answers_by_question()
    calls = UnrecordedCalls(LanguageModel(load_settings()))
    for execution_id, given in executions.items():
        expected = extract(parse_extraction_input(given), llm_extractors(calls)).model_dump(mode="json")
        assert entities_and_relations(installation.service.result(execution_id)) == entities_and_relations(expected)
        assert expected["relations"]
    found = statuses(installation, list(executions))
    asked = found - Counter(recalled=found["recalled"])
    known, paid = asked.total(), sum(call.is_paid for call in account)
    assert known - found["lost"] <= len(account) <= known
    assert known - found["lost"] - found["refused"] <= paid <= known - found["refused"]
    assert found["answered"] == len(answers)
    assert found["answered"] <= answers.total() <= found["answered"] + found["lost"]
    problems = [
        problem
        for check in (unended, double_checkpoints, writes_of_old_epochs, broken_signals, broken_histories)
        for problem in check(installation, list(executions))
    ]
    assert [*problems, *leftovers(installation)] == []


def statuses(installation: Installation, execution_ids: Sequence[str]) -> Counter[str]:
    statement = "SELECT status FROM knowledge_workflow_model_call WHERE workflow_execution_id = ANY(%s)"
    return Counter(str(status) for (status,) in installation.postgres.ask(statement, list(execution_ids)))


def test_killed_when_the_answer_had_come_it_is_not_paid_again(installation: Installation, llm: Endpoint) -> None:
    execution_id = installation.id_of("killed-with-an-answer")
    kills = [
        installation.control.arm("before_checkpoint_commit", "kill", subject=subject, execution_id=execution_id)
        for subject in ("mentions-1", "relations-2")
    ]
    given = asking(3, 381, concurrency=1)
    installation.start(given, idempotency_key="killed-with-an-answer")
    for kill in kills:
        installation.control.wait_for(kill, LIMIT_SECONDS)
    assert_nothing_lost_or_doubled(installation, llm, {execution_id: given})
    found = statuses(installation, [execution_id])
    assert (found["recalled"], found["lost"]) == (len(kills), 0)


def test_killed_while_a_call_is_out_it_is_paid_and_known_twice(installation: Installation, llm: Endpoint) -> None:
    once = iter([Fault.HANG])
    llm.plan = lambda question, _tries: next(once, None) if "find the facts" in question else None
    given = asking(3, 382, concurrency=1)
    execution_id = installation.start(given)
    wait_until(lambda: any(call.fault is Fault.HANG for call in llm.calls), LIMIT_SECONDS)
    installation.worker(execution_id).kill()
    assert_nothing_lost_or_doubled(installation, llm, {execution_id: given})
    assert statuses(installation, [execution_id])["lost"] == 1


def test_every_fault_and_five_kills_lose_and_double_nothing(installation: Installation, llm: Endpoint) -> None:
    spoiling = [fault for fault in PASSING if fault is not Fault.SLOW]
    llm.plan = PlanOfEach(spoiling, per_question=2)
    kills = [
        installation.control.arm("after_attempt_commit", "kill", subject="mentions-0"),
        installation.control.arm("before_checkpoint_commit", "kill", subject="mentions-3"),
        installation.control.arm("after_checkpoint_commit", "kill", subject="entities-0"),
        installation.control.arm("inside_activity", "kill", subject="relations-1"),
        installation.control.arm("before_completion_commit", "kill"),
    ]
    executions = {}
    for seed in range(383, 386):
        given = asking(4, seed)
        executions[installation.start(given)] = given
    for kill in kills:
        installation.control.wait_for(kill, LIMIT_SECONDS)
    assert_nothing_lost_or_doubled(installation, llm, executions)
    assert {call.fault for call in llm.calls} >= set(spoiling)
