"""Server-Sent Events: all that an execution tells, once and in order, whatever is cut off in between."""

import json
import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from typing import Any

import httpx
import pytest

from beep_orchestration.api import progress_stream
from beep_orchestration.api.application import THREADS
from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.models import ExecutionStatus
from beep_orchestration.persistence import Database
from tests.api.conftest import serving, settings_of
from tests.api.test_operations import problem
from tests.durability.workflow import STAGE, Journal, running, signals, start
from tests.factories import ended, with_signal
from tests.postgres import end_sessions
from tests.waiting import wait_until

ACTIVITIES = 30


def events_of(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    """The events of a stream as a browser reads them: by lines, with comments left out."""
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        name, _, value = line.partition(":")
        if line == "" and "data" in fields:
            yield {"id": int(fields["id"]), "event": fields["event"], **json.loads(fields["data"])}
        if line == "":
            fields = {}
        elif name:
            fields[name] = value.removeprefix(" ")


def stream(api: httpx.Client, execution: str, last: int | None = None) -> Any:
    headers = {"Accept": "text/event-stream"} | ({} if last is None else {"Last-Event-ID": str(last)})
    return api.stream("GET", f"/workflows/{execution}/progress", headers=headers)


def _work(database: Database, execution: WorkflowExecutionId) -> None:
    with running(database, execution) as runner:
        runner.run(STAGE, Journal().activities(ACTIVITIES), concurrency=3)
        runner.complete({"entities": []})


def test_a_stream_has_all_until_the_end_and_then_nothing_more(api: httpx.Client, database: Database) -> None:
    execution = start(database)
    worker = threading.Thread(target=_work, args=(database, execution))
    with stream(api, execution) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        worker.start()
        seen = list(events_of(answer))
    worker.join(timeout=60)
    assert [event["change"] for event in seen if event["event"] == "state"] == ["accepted", "claimed", "completed"]
    assert seen[-2]["done"] == seen[-2]["total"] == ACTIVITIES
    assert [event["id"] for event in seen] == sorted({event["id"] for event in seen})
    assert seen[-1]["id"] == signals(database, execution)[-1].sequence
    with stream(api, execution, seen[-1]["id"]) as answer:
        assert answer.status_code == 204


def test_a_stream_that_is_cut_off_goes_on_after_the_last_event(api: httpx.Client, database: Database) -> None:
    execution, chance = start(database), random.Random(7)  # noqa: S311 - a test's choice
    worker = threading.Thread(target=_work, args=(database, execution))
    worker.start()
    seen: list[dict[str, Any]] = []
    while not (seen and seen[-1].get("change") == "completed"):
        with stream(api, execution, seen[-1]["id"] if seen else None) as answer:
            seen.extend(islice(events_of(answer), chance.randint(1, 5)))
    worker.join(timeout=60)
    ids = [event["id"] for event in seen]
    assert ids == sorted(set(ids))
    assert [event["change"] for event in seen if event["event"] == "state"] == ["accepted", "claimed", "completed"]


def test_a_stream_goes_on_when_the_server_ends_every_session(
    api: httpx.Client, database: Database, database_url: str
) -> None:
    execution = start(database)
    with stream(api, execution) as answer:
        events = events_of(answer)
        assert next(events)["change"] == "accepted"
        for number in (2, 3):
            assert end_sessions(database_url) > 0
            with database.transaction() as tables:
                with_signal(tables, execution)
            assert next(events)["id"] == number


def test_who_is_silent_is_kept_alive(api: httpx.Client, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_stream, "KEEP_ALIVE_SECONDS", 0.1)
    with stream(api, start(database)) as answer:
        lines = answer.iter_lines()
        assert next(line for line in lines if line == ":") == ":"


def test_many_streams_hold_no_threads(api: httpx.Client, database: Database) -> None:
    """More of them than there are threads, and other requests are answered all the same."""
    execution = start(database)
    with ExitStack() as stack:
        clients = [stack.enter_context(httpx.Client(base_url=api.base_url, timeout=30)) for _ in range(THREADS * 3)]
        streams = [events_of(stack.enter_context(stream(client, execution))) for client in clients]
        assert {next(events)["id"] for events in streams} == {1}
        assert api.post(f"/workflows/{execution}/cancel").status_code == 200
        assert {next(events)["change"] for events in streams} == {"cancelled"}


def test_streams_end_with_the_server(database: Database, database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    with ExitStack() as stack:
        with serving(settings_of(database_url), database) as url:
            client = stack.enter_context(httpx.Client(base_url=url, timeout=30))
            events = events_of(stack.enter_context(stream(client, start(database))))
            assert next(events)["change"] == "accepted"
        assert list(events) == []
    assert [record for record in caplog.records if record.name.startswith("uvicorn")] == []


def test_a_stream_whose_reader_went_away_ends(api: httpx.Client, database: Database) -> None:
    execution = start(database)
    subscribers = database.notifications._subscribers
    with stream(api, execution) as answer:
        events = events_of(answer)  # by a name: as it is forgotten it closes the answer
        next(events)
        wait_until(lambda: len(subscribers) > 0, description="the stream listens")
    wait_until(lambda: not subscribers, description="the stream listens no more")


@pytest.mark.parametrize("last", ["-1", "x", "1.0", "9" * 30, str(2**31), "\xb2"])
def test_what_is_no_cursor_is_refused(api: httpx.Client, database: Database, last: str) -> None:
    path = f"/workflows/{start(database)}/progress"
    problem(api.get(path, headers={"Last-Event-ID": last.encode("latin-1")}), 422)  # type: ignore[dict-item]


def test_a_page_may_say_where_to_begin_and_the_browser_knows_better(api: httpx.Client, database: Database) -> None:
    with database.transaction() as tables:
        execution = ended(tables, ExecutionStatus.COMPLETED).id
    path = f"/workflows/{execution}/progress"
    assert [line for line in api.get(path, params={"after": 2}).text.splitlines() if line.startswith("id")] == ["id: 3"]
    both = api.get(path, params={"after": 1}, headers={"Last-Event-ID": "2"})
    assert [line for line in both.text.splitlines() if line.startswith("id")] == ["id: 3"]
