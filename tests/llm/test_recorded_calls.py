"""The real job on a real PostgreSQL asks an endpoint that fails in every way: what is paid, kept and said."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg
import pytest
from psycopg import Connection, connect

from beep_orchestration import faults
from beep_orchestration.dagster_client import DagsterClient, launch_tags
from beep_orchestration.extraction import Extractors, extract, parse_extraction_input
from beep_orchestration.extraction.llm import llm_extractors
from beep_orchestration.extraction.llm.calls import UnrecordedCalls
from beep_orchestration.extraction.llm.language_model import LanguageModel
from beep_orchestration.extractor_choice import choose_extractors
from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.jobs import WORKFLOW_JOBS, WORKFLOW_RESOURCES
from beep_orchestration.models import ExecutionStatus, Json, ModelUsage, RetryPolicy
from beep_orchestration.persistence import Database
from beep_orchestration.resources import ExecutionSession
from beep_orchestration.service import WorkflowService
from beep_orchestration.settings import Settings, load_settings
from beep_orchestration.workflow_types import EXTRACTION
from tests.durability.workflow import assert_consistent, attempts, statuses
from tests.factories import ORGANIZATION, OTHER_ORGANIZATION
from tests.llm.endpoint import KEY, PASSING, Endpoint, Fault, PlanOfEach

TEXT = """Ada Lovelace met Charles Babbage in London. Later Ada Lovelace wrote to Michael Faraday from Ockham Park.

Alan Turing studied with Alonzo Church in Princeton. Then Alan Turing joined Gordon Welchman at Bletchley Park.

Grace Hopper taught in Poughkeepsie. Much later Grace Hopper praised Howard Aiken and Jean Bartik in Philadelphia.
"""
DOCUMENT: Json = {
    "document_id": "pioneers",
    "text": TEXT,
    "extractor": "llm",
    "options": {"chunk_size": 200, "chunk_overlap": 0, "batch_size": 5, "concurrency": 3},
}
QUICK = RetryPolicy(maximum_attempts=4, first_delay=0, maximum_delay=0)
ASKING = {"mentions", "entities", "relations"}


@dataclass(frozen=True)
class Bench:
    """A service, the endpoint that its executions ask, and a Dagster in this process that runs them."""

    service: WorkflowService
    database: Database
    llm: Endpoint
    settings: Settings
    instance: dg.DagsterInstance

    def start(self, **options: Any) -> WorkflowExecutionId:
        """Accept an execution of the document."""
        return self.service.start("extraction", DOCUMENT | {"options": DOCUMENT["options"] | options})

    def run(self, execution: WorkflowExecutionId, organization: str = ORGANIZATION) -> bool:
        """Whether a run of the real job ends well."""
        location = dg.Definitions(jobs=WORKFLOW_JOBS, resources=WORKFLOW_RESOURCES | {"choose_extractors": _quick})
        tags = launch_tags(execution, organization, "extraction", 1, None)
        job = location.resolve_job_def(EXTRACTION.job_name)
        return job.execute_in_process(instance=self.instance, tags=tags, raise_on_error=False).success

    def completed(self, **options: Any) -> WorkflowExecutionId:
        """An execution that has ended well."""
        execution = self.start(**options)
        assert self.run(execution)
        return execution

    def error_of(self, execution: WorkflowExecutionId) -> str:
        """Why an execution failed."""
        error = self.service.get_status(execution).error
        assert error is not None
        return error.message

    def calls(self, execution: WorkflowExecutionId, *columns: str) -> list[tuple[Any, ...]]:
        """What the tables say of an execution's calls, in their order."""
        statement = (
            f"SELECT {', '.join(columns)} FROM knowledge_workflow_model_call "
            "WHERE workflow_execution_id = %s ORDER BY started_at, id"
        )
        with self.connection() as connection:
            return connection.execute(statement, [execution]).fetchall()

    def counts(self, execution: WorkflowExecutionId) -> Counter[str]:
        """How many of an execution's calls ended how."""
        return Counter(status for (status,) in self.calls(execution, "status"))

    def connection(self) -> Connection[tuple[Any, ...]]:
        """Past all of our code."""
        assert self.settings.database_url is not None
        return connect(self.settings.database_url.get_secret_value())

    def assert_accounts_agree(self, execution: WorkflowExecutionId) -> None:
        """Our rows are the endpoint's account: each of its calls is known, no other, and nothing was paid twice."""
        found = self.counts(execution)
        asked = sum(found.values()) - found["recalled"]
        assert asked == len(self.llm.calls)
        assert asked - found["refused"] == self.llm.paid()
        assert found["answered"] == sum(self.llm.answers_by_question().values())
        assert set(self.llm.answers_by_question().values()) == {1}
        assert found["sent"] == 0


@pytest.fixture
def bench(service: WorkflowService, database: Database, llm: Endpoint, settings: Settings) -> Iterator[Bench]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Bench(service, database, llm, settings, instance)


@pytest.fixture
def graph(llm: Endpoint, settings: Settings) -> str:
    """What the same answers make of the document in memory; the account begins after it."""
    calls = UnrecordedCalls(LanguageModel(settings))
    made = extract(parse_extraction_input(DOCUMENT), llm_extractors(calls))
    llm.calls.clear()
    llm._tries.clear()
    return _canonical(made.model_dump(mode="json"))


def _canonical(graph: Json) -> str:
    """Without what `extract` does not count."""
    return json.dumps(graph | {"stats": graph["stats"] | {"language_model": None}}, sort_keys=True)


def _quick(session: ExecutionSession) -> Extractors:
    return replace(choose_extractors(session), retry=QUICK)


def test_the_graph_is_that_of_the_same_answers_in_memory(bench: Bench, graph: str) -> None:
    execution = bench.completed()
    result = bench.service.result(execution)
    assert _canonical(result) == graph
    assert len(result["relations"]) >= 3
    bench.assert_accounts_agree(execution)
    assert bench.counts(execution) == {"answered": len(bench.llm.calls)}


def test_calls_overlap_up_to_the_limit(bench: Bench) -> None:
    """The first three are answered together only, so they have to be there together."""
    bench.llm.gathered = 3
    bench.completed(concurrency=3)
    assert bench.llm.most_at_once == 3


@pytest.mark.parametrize("seed", range(3))
def test_no_paid_call_is_lost_or_doubled_whatever_fails(
    bench: Bench, graph: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each question fails three times, each time otherwise, before it is answered; the graph is the same."""
    monkeypatch.setenv("BEEP_LLM_TIMEOUT_SECONDS", "5")
    load_settings.cache_clear()
    shift = PASSING[seed * 3 :] + PASSING[: seed * 3]
    bench.llm.plan = PlanOfEach([fault for fault in shift if fault is not Fault.SLOW], per_question=3)
    execution = bench.completed()
    assert _canonical(bench.service.result(execution)) == graph
    assert {call.fault for call in bench.llm.calls} >= set(PASSING) - {Fault.SLOW}
    bench.assert_accounts_agree(execution)
    made = bench.counts(execution)
    asking = [row for row in attempts(bench.database, execution) if row.activity_type in ASKING]
    assert len(asking) == sum(made.values())  # every call is an attempt's
    spoilt = (Fault.TRUNCATED, Fault.INVALID, Fault.REPEATED)
    assert made["unusable"] == sum(call.fault in spoilt for call in bench.llm.calls)
    assert_consistent(bench.database, execution)


def test_a_fault_that_stays_fails_the_execution_with_its_name(bench: Bench) -> None:
    bench.llm.plan = lambda _question, _tries: Fault.REPEATED
    execution = bench.start(concurrency=1)
    assert not bench.run(execution)
    assert "the key 'mentions' is repeated" in bench.error_of(execution)
    assert len(bench.llm.calls) == QUICK.maximum_attempts
    assert bench.counts(execution) == {"unusable": QUICK.maximum_attempts}


@pytest.mark.parametrize(("fault", "words"), [(Fault.BAD_KEY, "BEEP_LLM_API_KEY"), (Fault.BAD_QUESTION, "no such")])
def test_what_no_retry_mends_is_asked_once(bench: Bench, fault: Fault, words: str) -> None:
    bench.llm.plan = lambda _question, _tries: fault
    execution = bench.start(concurrency=1)
    assert not bench.run(execution)
    assert words in bench.error_of(execution)
    assert len(bench.llm.calls) == 1
    assert bench.counts(execution) == {"refused": 1}


def test_no_secret_and_no_question_is_stored(bench: Bench) -> None:
    once = iter([Fault.BAD_KEY])
    bench.llm.plan = lambda _question, _tries: next(once, None)
    execution = bench.start()
    assert not bench.run(execution)
    bench.service.resume(execution)
    assert bench.run(execution)
    with bench.connection() as connection:
        for table in ("execution", "activity", "signal", "model_call"):
            rows = connection.execute(f"SELECT t::text FROM knowledge_workflow_{table} t").fetchall()
            assert rows
            assert not [row for (row,) in rows if KEY in row or "You find the names" in row]


def test_an_answer_whose_checkpoint_was_lost_is_recalled(bench: Bench, graph: str) -> None:
    def fail(subject: str) -> None:
        if subject == "relations-1":
            raise RuntimeError("broken on purpose")

    execution = bench.start()
    faults.inject("before_checkpoint_commit", fail)
    assert not bench.run(execution)
    faults.clear()
    assert bench.service.get_status(execution).status is ExecutionStatus.FAILED
    bench.service.resume(execution)
    assert bench.run(execution)
    assert _canonical(bench.service.result(execution)) == graph
    bench.assert_accounts_agree(execution)
    assert bench.counts(execution)["recalled"] >= 1


def test_what_was_paid_is_recalled_within_the_organization_only(bench: Bench) -> None:
    first = bench.completed()
    paid = len(bench.llm.calls)
    second = bench.completed()
    assert len(bench.llm.calls) == paid
    assert bench.service.result(second) == bench.service.result(first)
    usage = bench.service.get_status(second).language_model
    assert sum(each.recalled for each in usage.values()) == paid
    assert sum(each.calls + each.input_tokens for each in usage.values()) == 0
    assert sum(each.cost for each in usage.values()) == 0
    dagster = DagsterClient("127.0.0.1", 1, code_location="beep_orchestration", timeout_seconds=5)
    stranger = WorkflowService(bench.database, dagster, OTHER_ORGANIZATION, bench.settings)
    assert bench.run(stranger.start("extraction", DOCUMENT), OTHER_ORGANIZATION)
    assert len(bench.llm.calls) == 2 * paid


def test_recalling_can_be_switched_off(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEEP_LLM_CACHE", "false")
    load_settings.cache_clear()
    for number in (1, 2):
        execution = bench.completed()
        assert {answer for (answer,) in bench.calls(execution, "answer")} == {None}
        assert set(bench.llm.answers_by_question().values()) == {number}


def test_another_model_answers_anew(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.completed()
    paid = len(bench.llm.calls)
    monkeypatch.setenv("BEEP_LLM_MODEL", "better-rules")
    load_settings.cache_clear()
    bench.completed()
    assert len(bench.llm.calls) == 2 * paid


def test_a_changed_model_uses_no_checkpoint_of_the_old_one(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.llm.plan = lambda question, _tries: Fault.BAD_QUESTION if "give types" in question else None
    execution = bench.start()
    assert not bench.run(execution)
    assert statuses(bench.database, execution)["mentions-0"] == ["completed"]
    bench.llm.plan = lambda _question, _tries: None
    monkeypatch.setenv("BEEP_LLM_MODEL", "better-rules")
    load_settings.cache_clear()
    bench.service.resume(execution)
    assert bench.run(execution)
    assert statuses(bench.database, execution)["mentions-0"] == ["failed", "completed"]
    sources = bench.service.result(execution)["provenance"]["sources"]
    assert {source["version"].split()[0] for source in sources} == {"better-rules"}


def test_tokens_and_cost_are_accounted_by_activity_type(bench: Bench) -> None:
    """What is unusable was paid all the same: it is in the status, and not in what the graph is made of."""
    spoilt = iter([Fault.INVALID])
    bench.llm.plan = lambda _question, _tries: next(spoilt, None)
    execution = bench.completed()
    asked = len(bench.llm.calls)
    usage = bench.service.get_status(execution).language_model
    assert set(usage) == ASKING
    assert sum(each.calls for each in usage.values()) == asked
    assert sum(each.input_tokens for each in usage.values()) == 100 * asked
    rows = bench.calls(execution, "input_tokens", "output_tokens", "cost")
    assert all(float(cost) == pytest.approx((read * 2 + written * 10) / 1e6) for read, written, cost in rows)
    assert sum(each.cost for each in usage.values()) == pytest.approx(sum(float(cost) for _, _, cost in rows))
    statistics = bench.service.result(execution)["stats"]["language_model"]
    assert statistics["answers"] == asked - 1
    assert statistics["input_tokens"] == 100 * statistics["answers"]
    assert statistics["tally"]["mentions_exact"] > 0
    assert bench.service.list().executions[0].language_model == usage


@pytest.mark.parametrize("budget", [{"token_budget": 800}, {"cost_budget": 0.0011}], ids=["tokens", "cost"])
def test_a_budget_stops_the_execution_and_resuming_grants_it_again(bench: Bench, graph: str, budget: Json) -> None:
    execution = bench.start(**budget, concurrency=1)
    stops = 0
    while not bench.run(execution):
        stops += 1
        assert bench.service.get_status(execution).status is ExecutionStatus.FAILED
        assert f"BudgetUsedUpError: options.{next(iter(budget))}" in bench.error_of(execution)
        assert set(bench.counts(execution)) == {"answered"}
        bench.service.resume(execution)
        assert stops < len(TEXT)
    assert stops >= 1
    assert bench.service.result(execution)["relations"] == json.loads(graph)["relations"]
    bench.assert_accounts_agree(execution)
    assert_consistent(bench.database, execution)


def test_an_execution_that_parks_for_its_budget_goes_on_when_it_is_granted(
    bench: Bench, graph: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEEP_PARK_AFTER_SECONDS", "0")
    load_settings.cache_clear()
    execution = bench.start(token_budget=800, concurrency=1, when_budget_is_used_up="park")
    granted = 0
    while bench.run(execution) and not bench.service.get_status(execution).status.is_terminal:
        (wait,) = bench.service.get_status(execution).waiting_for
        assert wait.signals == ("grant_budget",)
        assert set(bench.counts(execution)) == {"answered"}
        bench.service.signal(execution, "grant_budget", {"by": "Ada"})
        granted += 1
        assert granted < len(TEXT)
    assert granted >= 1
    assert bench.service.get_status(execution).status is ExecutionStatus.COMPLETED
    assert bench.service.result(execution)["relations"] == json.loads(graph)["relations"]
    bench.assert_accounts_agree(execution)
    assert_consistent(bench.database, execution)


def test_executions_of_one_account_share_their_budget(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEEP_LLM_CACHE", "false")
    load_settings.cache_clear()
    first = bench.completed(account="june", token_budget=1_000_000)
    spent = _tokens(bench.service.get_usage(account="june"))
    assert spent == _tokens(bench.service.get_status(first).language_model) > 0
    second = bench.start(account="june", token_budget=spent)
    assert not bench.run(second)
    assert "BudgetUsedUpError: options.token_budget" in bench.error_of(second)
    assert bench.calls(second, "id") == []
    for others in ({"account": "july"}, {}):
        assert _tokens(bench.service.get_status(bench.completed(token_budget=spent, **others)).language_model) == spent
    third = bench.start(account="june", token_budget=spent)
    assert not bench.run(third)
    bench.service.resume(third)
    bench.service.resume(second)
    assert bench.run(second)
    assert not bench.run(third)
    assert bench.calls(third, "id") == []
    assert _tokens(bench.service.get_usage(account="june")) == 2 * spent
    assert _tokens(bench.service.get_usage()) == 4 * spent
    assert set(bench.service.get_usage()) == ASKING


def test_an_account_is_that_of_its_organization(bench: Bench) -> None:
    bench.completed(account="june")
    dagster = DagsterClient("127.0.0.1", 1, code_location="beep_orchestration", timeout_seconds=5)
    stranger = WorkflowService(bench.database, dagster, OTHER_ORGANIZATION, bench.settings)
    assert stranger.get_usage(account="june") == stranger.get_usage() == {}
    execution = stranger.start("extraction", DOCUMENT | {"options": {"account": "june", "token_budget": 1}})
    assert not bench.run(execution, OTHER_ORGANIZATION)
    assert len(bench.calls(execution, "id")) > 0


def _tokens(usage: Mapping[str, ModelUsage]) -> int:
    return sum(each.input_tokens + each.output_tokens for each in usage.values())


def test_examples_of_the_input_are_shown_to_the_model(bench: Bench) -> None:
    triples = [{"subject": "Barbara", "relation": "located in", "object": "Boston"}]
    shown = {"text": "Barbara lived in Boston.", "triples": triples}
    execution = bench.service.start("extraction", DOCUMENT | {"examples": [shown]})
    assert bench.run(execution)
    told = [str(body["messages"]) for body in bench.llm.bodies]
    for asked in ("find the names", "find the facts"):
        assert all("Barbara | located in | Boston" in each for each in told if asked in each)
        assert any(asked in each for each in told)
