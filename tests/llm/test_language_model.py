"""A process asks its model within its limits, each question once, and says what went wrong without its key."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from beep_orchestration.errors import (
    InvalidAnswerError,
    InvalidInputError,
    LanguageModelError,
    PermanentActivityError,
    RetryLaterError,
)
from beep_orchestration.extraction.llm import llm_extractors
from beep_orchestration.extraction.llm.calls import UnrecordedCalls, answer_of
from beep_orchestration.extraction.llm.language_model import LanguageModel, language_model, require_llm
from beep_orchestration.extraction.llm.prompts import material
from beep_orchestration.extraction.llm.questions import MentionsAnswer, Question
from beep_orchestration.extraction.model import ExtractionOptions
from beep_orchestration.settings import Settings
from beep_orchestration.threads import DaemonThreads
from tests.llm.endpoint import FREE, KEY, Endpoint, Fault
from tests.waiting import wait_until


def question(text: str = "Ada met Bob.") -> Question[MentionsAnswer]:
    return Question("Find the names.", material(("Document:", text)), MentionsAnswer)


def model(llm: Endpoint, **changes: Any) -> LanguageModel:
    settings = {"llm_model": "rules", "llm_base_url": llm.url, "llm_api_key": KEY, "llm_timeout_seconds": 30.0}
    return LanguageModel(Settings(**settings | changes, _env_file=None))


def test_an_answer_comes_with_its_tokens_and_its_price(llm: Endpoint) -> None:
    reply = model(llm, llm_input_price="3", llm_output_price="5").ask(question())
    assert [thing.name for thing in answer_of(reply, question()).mentions] == ["Ada", "Bob"]
    assert reply.usage.input_tokens == 100
    assert reply.usage.cost is not None
    assert float(reply.usage.cost) == pytest.approx((300 + 5 * reply.usage.output_tokens) / 1e6)
    assert model(llm).ask(question()).usage.cost is None


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.SLOW])
def test_a_question_is_asked_once_whatever_happens(llm: Endpoint, fault: Fault) -> None:
    """No client asks again by itself, and every error says whether the call may be paid."""
    llm.plan = lambda _question, _tries: fault
    with pytest.raises((RetryLaterError, LanguageModelError, PermanentActivityError)) as raised:
        answer_of(model(llm, llm_timeout_seconds=1.0 if fault is Fault.HANG else 30.0).ask(question()), question())
    assert len(llm.calls) == 1
    assert KEY not in f"{raised.value}"
    is_free = not isinstance(raised.value, LanguageModelError) or not raised.value.may_be_paid
    assert is_free == (fault in FREE)
    expected: dict[Fault, type[Exception]] = {
        Fault.BUSY: RetryLaterError,
        Fault.AWAY: RetryLaterError,
        Fault.BAD_KEY: PermanentActivityError,
        Fault.BAD_QUESTION: PermanentActivityError,
        Fault.TRUNCATED: InvalidAnswerError,
        Fault.INVALID: InvalidAnswerError,
        Fault.REPEATED: InvalidAnswerError,
        Fault.NO_COMPLETION: InvalidAnswerError,
    }
    assert type(raised.value) is expected.get(fault, LanguageModelError)


def test_an_endpoint_that_is_not_there_costs_nothing(llm: Endpoint) -> None:
    with pytest.raises(LanguageModelError) as raised:
        model(llm, llm_base_url="http://127.0.0.1:1/v1").ask(question())
    assert not raised.value.may_be_paid


def test_a_cut_answer_names_the_setting(llm: Endpoint) -> None:
    llm.plan = lambda _question, _tries: Fault.TRUNCATED
    with pytest.raises(InvalidAnswerError, match=r"cut after .* raise BEEP_LLM_MAXIMUM_OUTPUT_TOKENS"):
        answer_of(model(llm).ask(question()), question())


@pytest.mark.parametrize("fault", [Fault.BUSY, Fault.AWAY])
def test_retry_after_holds_all_calls_of_the_process(llm: Endpoint, fault: Fault) -> None:
    llm.plan, llm.retry_after = lambda _question, _tries: fault, "600"
    asked = model(llm)
    with pytest.raises(RetryLaterError) as raised:
        asked.ask(question())
    assert raised.value.seconds == 600
    assert 500 < asked._limits._reserve() <= 600


def test_calls_of_the_process_overlap_up_to_the_limit(llm: Endpoint) -> None:
    llm.gathered = 2
    asked = model(llm, llm_concurrency=2, llm_timeout_seconds=20.0)
    with ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda number: asked.ask(question(f"Ada {number}")), range(6)))
    assert len(replies) == len(llm.calls) == 6
    assert llm.most_at_once == 2


def test_calls_per_minute_are_spread(llm: Endpoint) -> None:
    asked = model(llm, llm_calls_per_minute=0.1)
    asked.ask(question())
    assert 500 < asked._limits._reserve() <= 600


def test_an_activity_that_is_given_up_takes_its_call_with_it(llm: Endpoint) -> None:
    llm.plan = lambda _question, _tries: Fault.HANG
    asked = model(llm, llm_timeout_seconds=3_600.0)
    threads = DaemonThreads(1)
    future = threads.submit(lambda: asked.ask(question()))
    wait_until(lambda: llm.calls)
    threads.abandon(future)
    wait_until(lambda: llm.hung_up == 1)
    llm.plan = lambda _question, _tries: None
    assert asked.ask(question()).content


@pytest.mark.parametrize("output", ["native", "tool", "prompted"])
def test_answers_are_bound_to_the_schema_as_the_settings_say(llm: Endpoint, output: str) -> None:
    """The endpoint answers with text, which is read whatever was asked for; what counts is what it was told."""
    llm.answer = lambda _body: '{"mentions": [{"name": "Ada", "label": "PERSON"}]}'
    answer_of(model(llm, llm_output=output).ask(question()), question())
    (body,) = llm.bodies
    assert ("tools" in body) == (output == "tool")
    assert (body.get("response_format", {}).get("type") == "json_schema") == (output == "native")
    told = str(body["messages"])
    assert ("label" in told) == (output == "prompted")


def test_the_identity_changes_with_what_shapes_answers_and_holds_no_secret(llm: Endpoint) -> None:
    first = model(llm).identity
    assert KEY not in first
    assert first == model(llm, llm_api_key="another", llm_timeout_seconds=5.0, llm_concurrency=1).identity
    changes: list[dict[str, Any]] = [
        {"llm_model": "other"},
        {"llm_base_url": "http://127.0.0.1:2/v1"},
        {"llm_output": "tool"},
        {"llm_maximum_output_tokens": 9},
    ]
    assert len({first, *(model(llm, **change).identity for change in changes)}) == 1 + len(changes)
    extractors = llm_extractors(UnrecordedCalls(model(llm)))
    names = [extractors.mentions.identity, extractors.entities.identity, extractors.relations.identity]
    assert [name.split()[:2] for name in names] == [
        [f"llm-{kind}", "rules"] for kind in ("mentions", "entities", "relations")
    ]


def test_all_executions_of_a_process_share_its_limits(llm: Endpoint) -> None:
    settings = Settings(llm_model="rules", llm_base_url=llm.url, _env_file=None)
    found: list[LanguageModel] = []
    callers = [threading.Thread(target=lambda: found.append(language_model(settings))) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(found) == len(callers)
    assert len(set(map(id, found))) == 1


def refused(options: ExtractionOptions, **settings: Any) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as raised:
        require_llm(Settings(**settings, _env_file=None), options)
    return raised.value


@pytest.mark.parametrize(
    ("settings", "problem", "remedy"),
    [
        ({}, "needs a language model", "where executions are started and where 'beep up' runs"),
        ({"llm_model": "gpt-5-mini-of-nobody"}, "knows no model", "provider:model"),
        ({"llm_model": "nobody:model"}, "knows no model", "provider:model"),
        ({"llm_model": "mistral:small"}, "install", "another provider"),
    ],
)
def test_the_door_names_what_is_missing(settings: dict[str, Any], problem: str, remedy: str) -> None:
    error = refused(ExtractionOptions(), **settings)
    assert error.field == "extractor"
    assert problem in error.problem
    assert remedy in error.remedy


def test_a_budget_of_money_needs_a_price() -> None:
    budget = ExtractionOptions(cost_budget=1.0)
    error = refused(budget, llm_model="own-model", llm_base_url="http://127.0.0.1:1/v1")
    assert error.field == "options.cost_budget"
    assert "BEEP_LLM_INPUT_PRICE" in error.remedy
    priced = {"llm_input_price": "1", "llm_output_price": "2"}
    require_llm(Settings(llm_model="own-model", llm_base_url="http://127.0.0.1:1/v1", **priced, _env_file=None), budget)
    require_llm(Settings(llm_model="openai:gpt-5-mini", _env_file=None), budget)


WITHOUT_THE_EXTRA = """
import sys
from importlib.machinery import PathFinder

class Hiding(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] in ("pydantic_ai", "openai", "anthropic", "genai_prices"):
            return None
        return PathFinder.find_spec(name, path, target)

sys.meta_path = [Hiding if finder is PathFinder else finder for finder in sys.meta_path]
from beep_orchestration import definitions
from beep_orchestration.errors import InvalidInputError
from beep_orchestration.workflow_types import EXTRACTION

document = {"document_id": "d", "text": "Ada."}
EXTRACTION.parse_input(document)
try:
    EXTRACTION.parse_input(document | {"extractor": "llm"})
except InvalidInputError as error:
    print(error)
"""


def test_without_the_extra_all_else_works_and_the_door_names_it() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_THE_EXTRA], capture_output=True, text=True, check=False)
    assert done.stdout == (
        "extractor: 'llm' needs the extra 'llm'; run 'pip install \"beep-orchestration[llm]\"', or use 'local'\n"
    ), done.stderr


def test_the_local_extractor_loads_nothing_of_the_extra() -> None:
    program = "import sys, beep_orchestration.definitions; print([m for m in sys.modules if 'pydantic_ai' in m])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
