"""The live pages, and the event stream by the browser's own EventSource, in a real browser on a real server."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from beep_orchestration.extraction.review import REVIEW_SIGNALS
from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.models import Checkpoint, ErrorInfo, StageProgress, Wait
from beep_orchestration.persistence import Database
from tests.api.conftest import TOKEN
from tests.browser import console
from tests.durability.workflow import STAGE, Journal, running, signals, start
from tests.exports.graphs import graph_of
from tests.factories import ORGANIZATION, OTHER_ORGANIZATION, accepted, claimed, with_attempt, with_signal
from tests.postgres import end_sessions
from tests.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("blank_page")]

TEXT = "Ada Lovelace met Charles Babbage in London."
EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
FOLLOW = """
const [path] = arguments;
window.seen = [];
window.opened = 0;
const source = new EventSource(path);
source.onopen = () => { window.opened += 1; };
for (const name of ["progress", "state", "signal"]) {
  source.addEventListener(name, (event) => {
    window.seen.push({ id: Number(event.lastEventId), name, ...JSON.parse(event.data) });
  });
}
window.source = source;
"""


@pytest.fixture
def blank_page(browser: Chrome) -> Iterator[None]:
    """Nothing of another test's page goes on asking a server that is gone."""
    browser.get("about:blank")
    console(browser)
    yield
    browser.get("about:blank")


def text_of(browser: Chrome, selector: str = "main") -> str:
    """What a person reads there now."""
    return str(browser.execute_script("return document.querySelector(arguments[0])?.innerText ?? ''", selector))


def reads(browser: Chrome, *words: str, selector: str = "main") -> None:
    """Wait until all of that can be read there."""
    wait_until(
        lambda: all(word in text_of(browser, selector) for word in words), description=f"{selector} shows {words}"
    )


def button(browser: Chrome, name: str) -> WebElement:
    """The button of that name, once it is there."""
    path = f"//button[normalize-space()={name!r}]"
    return wait_until(lambda: next(iter(browser.find_elements(By.XPATH, path)), None), description=f"button {name}")


def problems(browser: Chrome) -> list[dict[str, Any]]:
    """What the page complained of; a refused request is told by the browser itself, and is no fault of the page."""
    return [entry for entry in console(browser) if "status of" not in entry["message"]]


def test_an_event_source_misses_nothing_when_its_connection_is_cut(
    browser: Chrome, url: str, database: Database, database_url: str
) -> None:
    execution = start(database)
    browser.get(url)  # a page of the same origin
    browser.execute_script(FOLLOW, f"/workflows/{execution}/progress")

    def seen() -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = browser.execute_script("return window.seen")
        return events

    wait_until(lambda: len(seen()) == 1, description="the browser has the first event")
    for number in (2, 3, 4):
        browser.set_network_conditions(offline=True, latency=0, throughput=-1)
        browser.set_network_conditions(offline=False, latency=0, throughput=-1)
        assert end_sessions(database_url) >= 0
        with database.transaction() as tables:
            with_signal(tables, execution)
        wait_until(lambda number=number: len(seen()) >= number, description="the browser has the next event")  # type: ignore[misc]
    with running(database, execution) as runner:
        runner.run(STAGE, Journal().activities(10), concurrency=2)
        runner.complete({"entities": []})
    wait_until(lambda: seen()[-1].get("change") == "completed", description="the browser has the last event")
    closed = "return window.source.readyState === EventSource.CLOSED"
    wait_until(lambda: browser.execute_script(closed), description="the browser asks no more")
    ids = [event["id"] for event in seen()]
    assert ids == sorted(set(ids))
    states = [event["change"] for event in seen() if event["name"] == "state"]
    assert states == ["accepted", "claimed", "completed"]
    assert ids[-1] == signals(database, execution)[-1].sequence


def _graph() -> dict[str, Any]:
    graph = graph_of(TEXT, {"Ada Lovelace": "Person", "London": "Place"}, [("Ada Lovelace", "was in", "London")])
    return graph.model_dump(mode="json")


def test_a_page_shows_an_execution_as_it_goes_on(browser: Chrome, url: str, database: Database) -> None:
    graph, gates = _graph(), [threading.Event() for _ in range(2)]
    execution = start(database)
    console(browser)
    browser.get(f"{url}/workflows/{execution}")
    reads(browser, "running", "accepted", "It grows here")
    journal = Journal()

    def waits(number: int) -> Callable[[], list[str]]:
        def wait() -> list[str]:
            assert gates[number].wait(60)
            return []

        return wait

    def work() -> None:
        with running(database, execution) as runner:
            activities = [journal.activity(number, waits(number), output_type=list[str]) for number in range(2)]
            runner.run(STAGE, activities, concurrency=1)
            runner.complete(graph)

    worker = threading.Thread(target=work)
    worker.start()
    reads(browser, "a run carries it", "0 / 2")
    gates[0].set()
    reads(browser, "1 / 2", "mentions 1 / 2 by mentions-0")
    gates[1].set()
    worker.join(timeout=60)
    reads(browser, "completed", "2 / 2")
    wait_until(lambda: not browser.find_elements(By.XPATH, "//button"), description="there is nothing to do any more")
    assert problems(browser) == []


def test_the_graph_grows_with_what_is_completed(browser: Chrome, url: str, database: Database) -> None:
    graph = _graph()
    with database.transaction() as tables:
        execution = claimed(tables)
        entities = with_attempt(tables, execution, activity_name="entities-0", activity_type="entities")
        tables.activities.complete([(entities.id, json.dumps(graph["entities"]))])
    browser.get(f"{url}/workflows/{execution.id}")
    reads(browser, "2 entities, 0 relations so far", "Person", "Place", "Ada Lovelace")
    with database.transaction() as tables:
        relations = with_attempt(tables, execution, activity_name="relations-0", activity_type="relations")
        tables.activities.complete([(relations.id, json.dumps(graph["relations"]))])
        payload = {"activity_type": "relations", "activity": "relations-0", "done": 1, "total": 1}
        with_signal(tables, execution.id, signal_name="progress", payload=payload)
    reads(browser, "2 entities, 1 relation so far")
    assert len(browser.find_elements(By.CSS_SELECTOR, "svg line")) == 1
    assert problems(browser) == []


def _sent(database: Database, execution: WorkflowExecutionId, name: str) -> list[dict[str, Any]]:
    return [row.payload for row in signals(database, execution) if row.signal_name == name]


def test_the_buttons_pause_resume_and_cancel(browser: Chrome, url: str, database: Database) -> None:
    execution = start(database)
    browser.get(f"{url}/workflows/{execution}")
    button(browser, "Pause").click()
    reads(browser, "paused")
    button(browser, "Resume").click()
    reads(browser, "running", "the pause has ended")
    button(browser, "Cancel").click()
    button(browser, "Keep it").click()
    button(browser, "Cancel").click()
    button(browser, "Cancel it").click()
    reads(browser, "cancelled")
    button(browser, "Resume").click()
    reads(browser, "running", "resumed")
    assert len(_sent(database, execution, "pause")) == 1
    assert problems(browser) == []


def test_a_page_says_whom_a_pause_stops_and_why(browser: Chrome, url: str, database: Database) -> None:
    execution = start(database)
    browser.get(f"{url}/workflows/{execution}")
    reads(browser, "running")
    with database.transaction() as tables:
        tables.pauses.save(ORGANIZATION, "<b>until noon</b>")
    reads(browser, "paused", "Paused with all executions of its organization", "<b>until noon</b>", "beep resume --all")
    with database.transaction() as tables:
        tables.executions.pause(execution, "lunch")
    reads(browser, "paused: lunch", "Resume")
    browser.get(url)
    reads(browser, "paused")
    browser.find_element(By.CSS_SELECTOR, "option[value=waiting]").click()
    reads(browser, "None is waiting.")
    browser.find_element(By.CSS_SELECTOR, "option[value=paused]").click()
    reads(browser, execution)
    with database.transaction() as tables:
        tables.pauses.remove(ORGANIZATION)
        tables.executions.end_pause(execution)
    reads(browser, "None is paused.")
    browser.find_element(By.CSS_SELECTOR, "option[value=running]").click()
    reads(browser, execution, "running")
    assert problems(browser) == []


def test_what_waits_for_a_person_is_approved_by_name(browser: Chrome, url: str, database: Database) -> None:
    with database.transaction() as tables:
        execution = claimed(tables)
        wait = Wait(activity_name="review", signals=("approve", "reject"), since=execution.started_at)
        checkpoint = Checkpoint(stages={"chunk": StageProgress(done=1, total=1)}, waiting_for=(wait,))
        assert tables.executions.park(execution.id, execution.epoch, wake_at=None, checkpoint=checkpoint)
    browser.get(f"{url}/workflows/{execution.id}")
    reads(browser, "waiting", "Waits for approve, reject", "parked: it waits without a process")
    button(browser, "Approve").click()  # without a name nothing is sent
    browser.find_element(By.CSS_SELECTOR, "input").send_keys("Ada")
    button(browser, "Approve").click()
    reads(browser, "signal approve")
    (payload,) = _sent(database, execution.id, "approve")
    assert payload["by"] == "Ada"


def _under_review(database: Database, **changes: str) -> tuple[WorkflowExecutionId, dict[str, Any]]:
    """An execution that is parked for decisions on all of its facts."""
    graph = _graph()
    for fact in (*graph["entities"], *graph["relations"]):
        fact["confidence"] = 0.5
    graph["entities"][0] |= changes
    document = {"document_id": "d", "text": TEXT, "options": {"review_below": 0.8}}
    with database.transaction() as tables:
        execution = claimed(tables, input=document)
        stages = {"chunk": [], "entities": graph["entities"], "relations": graph["relations"]}
        for name, output in stages.items():
            attempt = with_attempt(tables, execution, activity_name=f"{name}-0", activity_type=name)
            tables.activities.complete([(attempt.id, json.dumps(output))])
        wait = Wait(activity_name="review", signals=tuple(REVIEW_SIGNALS), since=execution.started_at)
        done = {name: StageProgress(done=1, total=1) for name in stages}
        checkpoint = Checkpoint(stages=done, waiting_for=(wait,))
        assert tables.executions.park(execution.id, execution.epoch, wake_at=None, checkpoint=checkpoint)
    return execution.id, graph


def test_facts_are_decided_on_one_by_one(browser: Chrome, url: str, database: Database) -> None:
    execution, graph = _under_review(database)
    (relation,) = graph["relations"]
    browser.get(f"{url}/workflows/{execution}")
    review = ".review"
    reads(browser, "Facts that wait for you", "Ada Lovelace (Person) 0.50", "London (Place)", "was in", selector=review)
    reads(browser, TEXT, selector=review)
    browser.find_element(By.CSS_SELECTOR, "#by").send_keys("Ada")
    items = browser.find_elements(By.CSS_SELECTOR, ".review li")
    assert len(items) == 3
    items[1].find_element(By.XPATH, ".//button[normalize-space()='Edit']").click()
    items[1].find_element(By.NAME, "name").send_keys("London, England")
    items[1].find_element(By.XPATH, ".//button[normalize-space()='Send']").click()
    wait_until(lambda: len(browser.find_elements(By.CSS_SELECTOR, ".review li")) == 2, description="two are left")
    items = browser.find_elements(By.CSS_SELECTOR, ".review li")
    items[1].find_element(By.XPATH, ".//button[normalize-space()='Reject']").click()
    wait_until(lambda: len(browser.find_elements(By.CSS_SELECTOR, ".review li")) == 1, description="one is left")
    browser.find_element(By.CSS_SELECTOR, ".review li .main").click()
    card = browser.find_element(By.CSS_SELECTOR, review)
    wait_until(lambda: not card.is_displayed(), description="nothing waits any more")
    (edit,), (reject,), (approve,) = (_sent(database, execution, name) for name in ("edit", "reject", "approve"))
    first, second = graph["entities"]
    assert edit == {"by": "Ada", "entity": second["id"], "name": "London, England"}
    named = {name: relation[name] for name in ("subject", "predicate", "object")}
    assert reject == {"by": "Ada", "relation": named}
    assert approve == {"by": "Ada", "entity": first["id"]}
    assert problems(browser) == []


def test_facts_that_wait_are_shown_and_never_run(browser: Chrome, url: str, database: Database) -> None:
    execution, _ = _under_review(database, name=EVIL)
    browser.get(f"{url}/workflows/{execution}")
    reads(browser, f"{EVIL} (Person)", selector=".review")
    assert browser.execute_script("return document.querySelectorAll('main img, main script').length") == 0
    assert browser.title == "Execution · beep"
    assert problems(browser) == []


def test_a_parent_leads_to_its_children_and_back(browser: Chrome, url: str, database: Database) -> None:
    with database.transaction() as tables:
        parent = claimed(tables)
        child = accepted(tables, parent_execution_id=parent.id, child_name=EVIL)
        tables.children.tell_started(parent.id, child.id, EVIL)
    browser.get(f"{url}/workflows/{parent.id}")
    reads(browser, f"{EVIL} running", f"a child has started: {EVIL}")
    browser.find_element(By.LINK_TEXT, EVIL).click()
    back = By.LINK_TEXT, "its parent"
    wait_until(lambda: browser.find_elements(*back), description="the child names its parent")
    browser.find_element(*back).click()
    reads(browser, f"{EVIL} running")
    assert browser.current_url.endswith(parent.id)
    assert problems(browser) == []


def test_a_parent_of_many_leads_to_the_list_of_its_children(browser: Chrome, url: str, database: Database) -> None:
    with database.transaction() as tables:
        parent = claimed(tables)
        for number in range(22):
            accepted(tables, parent_execution_id=parent.id, child_name=f"child-{number}")
    browser.get(f"{url}/workflows/{parent.id}")
    reads(browser, "22 running", "child-19 running")
    browser.find_element(By.LINK_TEXT, "and 2 more").click()
    wait_until(lambda: len(browser.find_elements(By.CSS_SELECTOR, "tbody tr")) == 22, description="all are listed")
    browser.find_element(By.LINK_TEXT, parent.id).click()
    reads(browser, "child-0 running")
    assert browser.current_url.endswith(parent.id)
    assert problems(browser) == []


def test_texts_from_outside_are_shown_and_never_run(browser: Chrome, url: str, database: Database) -> None:
    graph = _graph()
    graph["entities"][0]["name"] = EVIL
    with database.transaction() as tables:
        execution = claimed(tables)
        entities = with_attempt(tables, execution, activity_name="entities-0", activity_type="entities")
        tables.activities.complete([(entities.id, json.dumps(graph["entities"]))])
        with_signal(tables, execution.id, signal_name=EVIL)
        tables.executions.fail(execution.id, ErrorInfo(type="ValueError", message=EVIL))
    console(browser)
    browser.get(f"{url}/workflows/{execution.id}")
    reads(browser, f"ValueError: {EVIL}", f"signal {EVIL}", "2 entities")
    assert browser.execute_script("return document.querySelectorAll('main img, main script').length") == 0
    assert browser.title == "Execution · beep"
    assert problems(browser) == []


def test_the_list_leads_to_an_execution(browser: Chrome, url: str, database: Database) -> None:
    with database.transaction() as tables:
        first, second = accepted(tables), claimed(tables, about=EVIL)
        assembled = with_attempt(tables, second, activity_name="assemble", activity_type="assemble")
        tables.activities.complete([(assembled.id, json.dumps(_graph()))])
        assert tables.executions.complete(second.id, second.epoch, _graph())
        accepted(tables, organization_id=OTHER_ORGANIZATION)
    browser.get(url)
    wait_until(lambda: len(browser.find_elements(By.CSS_SELECTOR, "tbody tr")) == 2, description="both are listed")
    assert f"{EVIL}\n{second.id}" in text_of(browser)
    browser.find_element(By.CSS_SELECTOR, "option[value=completed]").click()
    wait_until(lambda: len(browser.find_elements(By.CSS_SELECTOR, "tbody tr")) == 1, description="one is listed")
    browser.find_element(By.LINK_TEXT, f"{EVIL}\n{second.id}").click()
    reads(browser, f"completed {EVIL}", "2 entities, 1 relation")
    assert browser.execute_script("return document.querySelectorAll('main img, main script').length") == 0
    assert browser.current_url.endswith(second.id)
    assert first.id not in text_of(browser)


def test_a_page_asks_for_the_token_and_keeps_it_for_the_tab(
    browser: Chrome, guarded_url: str, database: Database
) -> None:
    with database.transaction() as tables:
        execution = accepted(tables, organization_id=ORGANIZATION)
    browser.get(f"{guarded_url}/workflows/{execution.id}")
    for token in ("wrong", TOKEN):
        wait_until(lambda: browser.find_elements(By.CSS_SELECTOR, "dialog input"), description="the page asks")
        browser.find_element(By.CSS_SELECTOR, "dialog input").send_keys(token)
        button(browser, "Go on").click()
    reads(browser, "running", "accepted")
    with database.transaction() as tables:
        assert tables.executions.cancel(execution.id)
    reads(browser, "cancelled")
    assert browser.get_cookies() == []
    browser.execute_script("sessionStorage.clear()")


def test_an_id_that_is_not_there_is_said_to_be_missing(browser: Chrome, url: str) -> None:
    browser.get(f"{url}/workflows/knowledge_workflow_execution__00000000-0000-7000-8000-000000000001")
    reads(browser, "No such execution", "beep list")
