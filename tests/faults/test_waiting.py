"""Waiting executions while everything around them ends: cases 26, 28, 29 and 47, and a clock that jumps meanwhile."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from beep_orchestration.models import ExecutionStatus, Json, RunOutcome
from beep_orchestration.persistence import Database
from beep_orchestration.service import WorkflowService
from beep_orchestration.settings import Settings
from tests.durability.conftest import service, settings
from tests.faults.documents import document
from tests.faults.installation import Installation, installed, postgres_server
from tests.faults.oracle import canonical, expected_graph, without_reviews
from tests.faults.races import lost_wake_ups, misread_signals
from tests.faults.test_clocks_and_disks import FAKETIME, needs_faketime
from tests.waiting import wait_until

__all__ = ["service", "settings"]
pytestmark = pytest.mark.integration
ANSWER = {"by": "Ada"}
OWN_TYPES = {"BEEP_WORKFLOW_MODULES": "examples.article_review", "BEEP_PARK_AFTER_SECONDS": "0.2"}
DAY = 86_400


def under_review(chunks: int, seed: int = 0) -> Json:
    """A document whose relations are all doubtful."""
    made = document(chunks, seed)
    return made | {"options": made["options"] | {"review_below": 0.75}}


def wait_parked(installation: Installation, execution_id: str) -> None:
    """Wait until the execution holds no run."""
    statement = "SELECT outcome FROM knowledge_workflow_run WHERE workflow_execution_id = %s ORDER BY id DESC LIMIT 1"
    wait_until(
        lambda: installation.postgres.ask(statement, execution_id) == [(RunOutcome.PARKED.value,)],
        90,
        f"{execution_id} is parked",
    )


def graph_without_reviews(installation: Installation, execution_id: str) -> bytes:
    """The graph, which one approval let through."""
    graph = installation.service.result(execution_id)
    (review,) = graph["provenance"]["reviews"]
    assert (review["decision"], review["by"]) == ("approved", "Ada")
    return canonical(without_reviews(graph))


def test_26_an_early_approval_is_kept_and_a_late_one_refused(installation: Installation) -> None:
    execution_id = installation.start(under_review(2))
    installation.service.signal(execution_id, "approve", ANSWER)
    installation.wait_completed([execution_id])
    assert graph_without_reviews(installation, execution_id) == expected_graph(under_review(2))
    with pytest.raises(Exception, match="takes no signals any more"):
        installation.service.signal(execution_id, "approve", ANSWER)


def test_an_approval_completes_a_parked_execution_without_repeating_anything(installation: Installation) -> None:
    execution_id = installation.start(under_review(3, 1))
    wait_parked(installation, execution_id)
    before = installation.journal.begins([execution_id])
    installation.service.signal(execution_id, "approve", ANSWER)
    installation.wait_completed([execution_id])
    after = installation.journal.begins([execution_id])
    assert {key[1] for key in after} - {key[1] for key in before} == {"assemble"}
    assert all(len(calls) == 1 for calls in after.values())
    assert graph_without_reviews(installation, execution_id) == expected_graph(under_review(3, 1))


def test_a_sender_that_dies_after_its_commit_has_the_sensors_launch_the_run(installation: Installation) -> None:
    execution_id = installation.start(under_review(2, 2))
    wait_parked(installation, execution_id)
    with installation.database.transaction() as tables:  # what is stored when the process dies before it launches
        row = tables.executions.load(execution_id, lock=True)  # type: ignore[arg-type]
        _, is_awaited = installation.service._send(
            tables, row, installation.service._checked_signal("extraction", "approve", ANSWER, None)
        )
    assert is_awaited
    installation.wait_completed([execution_id])


def test_a_paused_execution_stands_still_and_goes_on(installation: Installation) -> None:
    execution_id = installation.start(document(12, 3))
    wait_until(lambda: installation.journal.begins([execution_id]), 60, "it works")
    installation.service.signal(execution_id, "pause", {})
    wait_parked(installation, execution_id)
    begun = installation.journal.begins([execution_id])
    assert installation.service.get_status(execution_id).status is ExecutionStatus.RUNNING
    installation.service.signal(execution_id, "resume", {})
    installation.wait_completed([execution_id])
    assert len(installation.journal.begins([execution_id])) > len(begun)
    assert all(len(calls) == 1 for calls in installation.journal.begins([execution_id]).values())


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="beep-faults-waiting-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@needs_faketime
def test_47_everything_stops_the_clock_jumps_and_what_was_parked_completes(folder: Path) -> None:
    """One is approved afterwards; the deadline of another came while nobody was there to see it."""
    clock = folder / "offset"
    clock.write_text("+0")
    clock_jumps = {"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1"}
    data, services = folder / "data", folder / "services"
    data.mkdir(mode=0o755)
    services.mkdir()
    article = {"title": "Grace", "text": "Grace wrote a compiler.", "days_to_answer": 30.0}
    with postgres_server(folder=data) as server, installed(OWN_TYPES, on=(server, services)) as first:
        approved = first.start(under_review(3, 4))
        unanswered = first.service.start("article_review", article)
        wait_parked(first, approved)
        wait_parked(first, unanswered)
        begun = first.journal.begins([approved, unanswered])
    clock.write_text(f"+{31 * DAY}")
    with (
        postgres_server(clock_jumps | {"FAKETIME_DONT_FAKE_MONOTONIC": "1"}, data) as server,
        installed(OWN_TYPES, on=(server, services)) as second,
    ):
        second.service.signal(approved, "approve", ANSWER)
        second.wait_completed([approved, unanswered])
        assert graph_without_reviews(second, approved) == expected_graph(under_review(3, 4))
        assert second.service.result(unanswered) == {"published": None}
        after = second.journal.begins([approved, unanswered])
        assert all(after[key] == calls for key, calls in begun.items())
        assert all(len(calls) == 1 for calls in after.values())


def test_29_a_signal_that_meets_an_execution_as_it_parks_wakes_it(
    database: Database, settings: Settings, service: WorkflowService
) -> None:
    assert lost_wake_ups(database, settings, service, tries=100) == 0


def test_28_a_thousand_signals_of_ten_senders_are_received_once_and_in_order(
    database: Database, settings: Settings, service: WorkflowService
) -> None:
    assert misread_signals(database, settings, service, count=1_000, senders=10) == 0
