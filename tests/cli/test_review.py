"""`beep review`: lists what waits with its sentences, and sends what a person decides."""

import json
import re
from typing import Any

import pytest

from beep_orchestration.models import Checkpoint, StageProgress
from beep_orchestration.persistence import Database
from beep_orchestration.persistence.activities import NewAttempt
from tests.cli.conftest import Beep
from tests.factories import claimed, with_attempt
from tests.faults.documents import document
from tests.faults.oracle import expected_graph

pytestmark = pytest.mark.usefixtures("configured")


@pytest.fixture
def waiting_id(configured: Database) -> str:
    """An execution whose facts are all extracted, and its relations all doubtful."""
    return _waiting(configured, review_below=0.75)


def _waiting(configured: Database, *, review_below: float) -> str:
    raw: dict[str, Any] = document(2)
    graph = json.loads(expected_graph(raw))
    raw = raw | {"options": raw["options"] | {"review_below": review_below}}
    with configured.transaction() as tables:
        execution = claimed(tables, input=raw)
        stages = {"chunk": [], "entities": graph["entities"], "relations": graph["relations"]}
        for name, output in stages.items():
            attempt: NewAttempt = with_attempt(tables, execution, activity_name=f"{name}-0", activity_type=name)
            assert tables.activities.complete([(attempt.id, json.dumps(output))]) == 1
        tables.executions.advance(
            execution.id,
            execution.epoch,
            current_activity=None,
            checkpoint=Checkpoint(stages={name: StageProgress(done=1, total=1) for name in stages}),
            signals=0,
            is_progress=True,
        )
    return execution.id


def test_what_waits_is_listed_with_its_sentences(beep: Beep, waiting_id: str) -> None:
    waiting = beep("review", waiting_id, "--json").json["waiting"]
    assert [doubt["number"] for doubt in waiting] == list(range(1, len(waiting) + 1))
    assert all(doubt["sentences"] and doubt["relation"] for doubt in waiting)
    shown = beep("review", waiting_id).out
    assert waiting[0]["text"] in shown


def test_a_sentence_is_cut_between_words_and_shows_where(beep: Beep, configured: Database) -> None:
    waiting = beep("review", _waiting(configured, review_below=1.0), "--json").json["waiting"]
    text = " ".join(document(2)["text"].split())
    sentences = [sentence for doubt in waiting if doubt["entity"] for sentence in doubt["sentences"]]
    assert any(sentence.startswith("… ") for sentence in sentences)
    assert any(sentence.endswith(" …") for sentence in sentences)
    for sentence in sentences:
        shown = sentence.removeprefix("… ").removesuffix(" …")
        assert re.search(rf"(^|\s){re.escape(shown)}(\s|$)", text), sentence
        assert text.startswith(shown) != sentence.startswith("… ")
        assert text.endswith(shown) != sentence.endswith(" …")


def test_a_payload_that_is_not_its_signals_is_refused_in_plain_words(beep: Beep, waiting_id: str) -> None:
    assert beep("signal", waiting_id, "edit", '{"by": "Ada", "entity": "ada"}').error == (
        "error: payload: changes nothing that it names; give an entity with name or type, or a relation with predicate"
    )


def test_a_number_that_is_given_twice_is_one_decision(beep: Beep, waiting_id: str, configured: Database) -> None:
    assert beep("review", waiting_id, "--approve", "1,1").code == 0
    with configured.transaction() as tables:
        assert len(tables.signals.load_named(waiting_id, ["approve"])) == 1  # type: ignore[arg-type]


def test_decisions_are_sent_and_what_is_left_is_listed(beep: Beep, waiting_id: str, configured: Database) -> None:
    left = beep("review", waiting_id, "--approve", "1,2", "--reject", "3", "--by", "Ada", "--json").json["waiting"]
    assert [doubt["number"] for doubt in left][:1] == [4]
    beep("review", waiting_id, "--edit", "4", "--predicate", "met", "--by", "Grace", "--note", "they did")
    assert [doubt["number"] for doubt in beep("review", waiting_id, "--json").json["waiting"]][:1] == [5]
    assert beep("review", waiting_id, "--approve", "all", "--json").json == {"waiting": []}
    with configured.transaction() as tables:
        sent = tables.signals.load_named(waiting_id, ["approve", "reject", "edit"])  # type: ignore[arg-type]
    assert [(signal.signal_name, signal.payload["by"]) for signal in sent][:4] == [
        ("approve", "Ada"),
        ("approve", "Ada"),
        ("reject", "Ada"),
        ("edit", "Grace"),
    ]


def test_what_was_decided_is_confirmed(beep: Beep, waiting_id: str) -> None:
    facts = {doubt["number"]: doubt["text"] for doubt in beep("review", waiting_id, "--json").json["waiting"]}
    first = beep("review", waiting_id, "--approve", "2,1", "--reject", "3").out.splitlines()
    assert first[:3] == [f"approved 2  {facts[2]}", f"approved 1  {facts[1]}", f"rejected 3  {facts[3]}"]
    assert first[3].startswith(f"   4  {facts[4]}")
    edited = beep("review", waiting_id, "--edit", "4", "--predicate", "met").out.splitlines()
    assert edited[0] == f"edited 4  {facts[4]}"
    last = beep("review", waiting_id, "--approve", "all").out.splitlines()
    assert last == [f"approved {each}  {facts[each]}" for each in facts if each > 4] + [
        "all are decided on; the execution goes on"
    ]


def test_an_execution_of_another_type_has_no_facts_to_review(beep: Beep, configured: Database) -> None:
    with configured.transaction() as tables:
        execution_id = claimed(tables, workflow_type="article_review").id
    for option in ((), ("--approve", "all"), ("--json",)):
        error = beep("review", execution_id, *option).error
        assert "is of the workflow type 'article_review', which has no facts to review; see what it waits for" in error


@pytest.mark.parametrize(
    "arguments", [["--approve", "one"], ["--reject", ""], ["--edit", "1"], ["--predicate", "met"]], ids=str
)
def test_a_decision_that_says_nothing_is_wrong_usage(beep: Beep, waiting_id: str, arguments: list[str]) -> None:
    result = beep("review", waiting_id, *arguments)
    assert (result.code, result.out) == (2, "")
    assert next(word for word in arguments if word.startswith("--")) in result.err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--approve", "0"], "--approve: no fact 0 waits for a decision; give numbers that 'beep review ID' lists"),
        (["--reject", "1,999"], "--reject: no fact 999 waits"),
        (["--edit", "1", "--name", "Ada"], "--name: fact 1, "),
        (["--edit", "1", "--name", "Ada"], "is a relation and has no name; give --predicate"),
        (["--edit", "1", "--predicate", ""], "predicate: "),
        (["--edit", "1", "--predicate", "met", "--type", "Person"], "--type: fact 1, "),
        (["--approve", "1", "--reject", "1"], "--reject: names fact 1, and --approve does too"),
        (["--approve", "2,1", "--edit", "1", "--predicate", "met"], "--edit: names fact 1, and --approve does too"),
        (["--approve", "all", "--reject", "2"], "--reject: names fact 2, and --approve does too"),
        (["--approve", "1", "--reject", "all"], "--reject: names fact 1, and --approve does too"),
    ],
)
def test_a_wrong_decision_is_refused_and_nothing_is_sent(
    beep: Beep, waiting_id: str, configured: Database, arguments: list[str], named: str
) -> None:
    error = beep("review", waiting_id, *arguments).error
    assert named in error
    assert "alue error" not in error
    with configured.transaction() as tables:
        assert not tables.signals.load_named(waiting_id, ["approve", "reject", "edit"])  # type: ignore[arg-type]
