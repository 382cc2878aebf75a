import json
import re
import shlex
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.models import (
    Checkpoint,
    ExecutionPage,
    ExecutionStatus,
    ModelUsage,
    RunOutcome,
    Wait,
    WorkflowStatus,
)
from beep_orchestration.persistence import Database
from beep_orchestration.persistence.pauses import EVERYONE
from beep_orchestration.workflow_types import WORKFLOW_TYPES
from tests.cli.conftest import Beep
from tests.factories import ORGANIZATION, OTHER_ORGANIZATION, accepted, claimed, dagster_run_of, ended, with_model_call

pytestmark = pytest.mark.usefixtures("configured")
UNKNOWN = "knowledge_workflow_execution__00000000-0000-7000-8000-000000000001"
COMMANDS_WITH_AN_ID = [
    ["status"],
    ["watch"],
    ["history"],
    ["cancel"],
    ["pause"],
    ["resume"],
    ["graph"],
    ["signal", "approve", "{}"],
]


def _running_id(database: Database) -> WorkflowExecutionId:
    with database.transaction() as tables:
        return claimed(tables).id


def _let_wait(database: Database, execution_id: WorkflowExecutionId, name: str, *signals: str) -> None:
    with database.transaction() as tables:
        execution = tables.executions.load(execution_id)
        wait = Wait(activity_name=name, signals=signals, since=execution.started_at)
        tables.executions.advance(
            execution_id,
            execution.epoch,
            current_activity=None,
            checkpoint=Checkpoint(waiting_for=(wait,)),
            signals=0,
            is_progress=False,
        )


def _ended_id(database: Database, status: ExecutionStatus) -> WorkflowExecutionId:
    with database.transaction() as tables:
        return ended(tables, status).id


def test_status_as_json_has_the_fields_of_workflow_status(beep: Beep, configured: Database) -> None:
    execution_id = _running_id(configured)
    result = beep("status", execution_id, "--json")
    assert result.code == 0
    assert set(result.json) == set(WorkflowStatus.model_fields)
    assert WorkflowStatus.model_validate(result.json).execution_id == execution_id


def test_status_for_people_is_whole_in_a_narrow_terminal(
    beep: Beep, configured: Database, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("COLUMNS", "20")
    execution_id = _ended_id(configured, ExecutionStatus.FAILED)
    printed = beep("status", execution_id).out
    assert f"execution  {execution_id}\n" in printed
    assert "ValueError: made by a test" in printed


@pytest.mark.parametrize("command", COMMANDS_WITH_AN_ID, ids=lambda command: command[0])
def test_an_unknown_id_and_one_of_another_organization_are_refused_alike(
    beep: Beep, configured: Database, command: list[str]
) -> None:
    with configured.transaction() as tables:
        foreign = accepted(tables, organization_id=OTHER_ORGANIZATION).id
    name, *others = command
    for execution_id in (UNKNOWN, foreign):
        assert beep(name, execution_id, *others).error.startswith(f"error: no execution {execution_id} ")


@pytest.mark.parametrize("command", COMMANDS_WITH_AN_ID, ids=lambda command: command[0])
def test_text_that_is_no_id_is_refused(beep: Beep, command: list[str]) -> None:
    name, *others = command
    error = beep(name, "\x1b[31mnotes", *others).error
    assert error.startswith("error: execution_id: ")
    assert "is not an id of knowledge_workflow_execution; give knowledge_workflow_execution__<uuid>" in error


def test_an_organization_that_is_no_id_is_refused_by_the_name_of_its_setting(
    beep: Beep, environment: pytest.MonkeyPatch
) -> None:
    assert beep("--organization", "acme", "list").error.startswith("error: organization_id: 'acme' is not an id of ")
    environment.setenv("BEEP_ORGANIZATION", "acme")
    assert beep("list").error.startswith("error: BEEP_ORGANIZATION: 'acme' is not an id of ")


def test_the_organization_can_be_named(beep: Beep, configured: Database) -> None:
    with configured.transaction() as tables:
        foreign = accepted(tables, organization_id=OTHER_ORGANIZATION).id
    assert beep("--organization", OTHER_ORGANIZATION, "status", foreign, "--json").json["execution_id"] == foreign


def test_signal_is_stored_and_its_id_printed(beep: Beep, configured: Database) -> None:
    execution_id = _running_id(configured)
    signal_id = beep("signal", execution_id, "approve", '{"by": "ada"}', "--json").json["signal_id"]
    with configured.transaction() as tables:
        (stored,) = tables.signals.load(execution_id, name="approve", limit=10)
    assert (stored.id, stored.signal_name, stored.payload) == (signal_id, "approve", {"by": "ada"})


def test_a_signal_to_a_type_that_is_not_registered_here_asks_for_its_module(beep: Beep, configured: Database) -> None:
    with configured.transaction() as tables:
        execution_id = claimed(tables, workflow_type="never_registered").id
    error = beep("signal", execution_id, "approve", "{}").error
    known = ", ".join(sorted(WORKFLOW_TYPES))
    assert error == (
        f"error: workflow_type: 'never_registered' is not registered here, where there are: {known}; "
        "name its module in BEEP_WORKFLOW_MODULES"
    )


@pytest.mark.parametrize(
    "payload", ["", "{", "[]", "1", '"a"', "null", '{"a": NaN}', '{"a": "\\u0000"}', '{"a": "\\ud800"}']
)
def test_a_payload_that_is_no_json_object_is_refused(beep: Beep, configured: Database, payload: str) -> None:
    assert "payload" in beep("signal", _running_id(configured), "approve", payload).error


def test_cancel_says_who_won(beep: Beep, configured: Database) -> None:
    running, completed = _running_id(configured), _ended_id(configured, ExecutionStatus.COMPLETED)
    first, again = beep("cancel", running, "--json"), beep("cancel", running, "--json")
    assert (first.code, first.json["status"], first.json["cancelled_now"]) == (0, "cancelled", True)
    assert (again.code, again.json["status"], again.json["cancelled_now"]) == (0, "cancelled", False)
    late = beep("cancel", completed, "--json")
    assert (late.json["status"], late.json["cancelled_now"]) == ("completed", False)
    assert "completed" in late.error


def test_resume_lets_a_failed_execution_go_on_and_refuses_a_completed_one(beep: Beep, configured: Database) -> None:
    failed, completed = (_ended_id(configured, ExecutionStatus(name)) for name in ("failed", "completed"))
    assert beep("resume", failed, "--json").json["status"] == "running"
    assert "is completed" in beep("resume", completed).error


def test_list_pages_and_filters(beep: Beep, configured: Database) -> None:
    ids = [_running_id(configured) for _ in range(3)]
    failed = _ended_id(configured, ExecutionStatus.FAILED)
    first = ExecutionPage.model_validate(beep("list", "--limit", 2, "--json").json)
    second = ExecutionPage.model_validate(beep("list", "--limit", 2, "--cursor", first.cursor, "--json").json)
    assert [each.execution_id for each in (*first.executions, *second.executions)] == [failed, *reversed(ids)]
    only_failed = beep("list", "--status", "failed", "--json").json["executions"]
    assert [each["execution_id"] for each in only_failed] == [failed]
    assert beep("list", "--type", "no_such_type", "--json").json["executions"] == []
    printed = beep("list", "--limit", 2).out
    assert failed in printed
    assert f"more: beep list --limit 2 --cursor '{first.cursor}'" in printed


def test_a_list_tells_what_waits_and_what_is_paused_from_what_works(beep: Beep, configured: Database) -> None:
    works, waits, paused = (_running_id(configured) for _ in range(3))
    _let_wait(configured, waits, "reviewed", "approve", "reject", "edit")
    beep("pause", paused)
    completed = _ended_id(configured, ExecutionStatus.COMPLETED)
    rows = [line.split() for line in beep("list").out.splitlines()]
    assert [(row[0], row[1]) for row in rows] == [
        (completed, "completed"),
        (paused, "paused"),
        (waits, "waiting"),
        (works, "running"),
    ]
    assert {row[4] for row in rows} == {"UTC"}
    for standing, chosen in {"waiting": [waits], "paused": [paused], "running": [paused, waits, works]}.items():
        assert [line.split()[0] for line in beep("list", "--status", standing).out.splitlines()] == chosen
    page = beep("list", "--status", "running", "--limit", 1).out
    assert "more: beep list --status running --limit 1 --cursor" in page


def test_executions_are_told_apart_by_what_they_are_about(beep: Beep, configured: Database) -> None:
    with configured.transaction() as tables:
        named = ended(tables, ExecutionStatus.COMPLETED, about="two words \x1b[31m.txt").id
        nameless = ended(tables, ExecutionStatus.COMPLETED).id
    first, second = beep("list").out.splitlines()
    assert first.endswith("UTC  extraction  0 done")
    assert second.endswith("UTC  extraction  two words \ufffd[31m.txt  0 done")
    assert "about      two words \ufffd[31m.txt\n" in beep("status", named).out
    assert "about" not in beep("status", nameless).out
    assert beep("watch", named).out.startswith("two words \ufffd[31m.txt: completed")
    assert beep("watch", nameless).out.startswith(f"{nameless}: completed")


def test_a_status_names_the_command_for_a_wait_that_has_one(beep: Beep, configured: Database) -> None:
    review, other = _running_id(configured), _running_id(configured)
    _let_wait(configured, review, "review", "approve", "edit", "reject")
    _let_wait(configured, other, "budget", "grant_budget")
    with configured.transaction() as tables:
        foreign = claimed(tables, workflow_type="article_review").id
    _let_wait(configured, foreign, "review", "approve", "edit", "reject")
    command = f"; decide with 'beep review {review}'\n"
    assert f"waits      review waits for signal 'approve' or 'edit' or 'reject'{command}" in beep("status", review).out
    for execution_id in (other, foreign):
        assert "beep review" not in beep("status", execution_id).out


def test_the_children_of_an_execution_are_counted_and_listed(beep: Beep, configured: Database) -> None:
    with configured.transaction() as tables:
        parent = accepted(tables).id
        ids = [accepted(tables, parent_execution_id=parent, child_name=f"child-{n}").id for n in range(21)]
    lines = beep("status", parent).out.splitlines()
    assert f"children   21 running; all: beep list --parent {parent}" in lines
    assert [line for line in lines if line.startswith("child ")] == [
        f"child      child-{n}: running, {each}" for n, each in enumerate(ids[:20])
    ]
    assert f"children   21 running; all: beep list --parent {parent}" not in beep("status", ids[0]).out
    page = beep("list", "--parent", parent, "--limit", 2)
    assert [line.split()[0] for line in page.out.splitlines()[:2]] == [ids[20], ids[19]]
    [_, command] = page.out.splitlines()[-1].split("more: beep ")
    older = beep(*shlex.split(command))
    assert [line.split()[0] for line in older.out.splitlines()[:2]] == [ids[18], ids[17]]


@pytest.mark.parametrize("limit", [0, 1001])
def test_a_page_of_another_size_is_wrong_usage(beep: Beep, limit: int) -> None:
    result = beep("list", "--limit", limit)
    assert (result.code, result.out) == (2, "")
    assert "--limit" in result.err


def test_list_refuses_what_is_no_cursor(beep: Beep) -> None:
    assert "cursor" in beep("list", "--cursor", "yesterday").error


def test_watch_ends_with_the_executions_and_fails_unless_all_are_completed(
    beep: Beep, configured: Database, completed_id: WorkflowExecutionId
) -> None:
    assert re.search(r"completed in \d+\.\d s\n$", beep("watch", completed_id).out)
    failed = _ended_id(configured, ExecutionStatus.FAILED)
    both = beep("watch", completed_id, failed, "--json")
    assert both.code == 1
    assert {WorkflowStatus.model_validate_json(line).status for line in both.out.splitlines()} == {
        "completed",
        "failed",
    }
    assert "made by a test" in both.error


def test_history_is_a_table_or_lines_of_json(beep: Beep, completed_id: str) -> None:
    table = beep("history", completed_id)
    assert table.code == 0
    assert {line.split()[2] for line in table.out.splitlines()} == {"UTC"}
    assert [line.split()[3:5] for line in table.out.splitlines()] == [
        ["state", "accepted"],
        ["run", f"run-of-{completed_id}"],
        ["state", "claimed"],
        ["state", "completed"],
    ]
    for arguments in (["--format", "jsonl"], ["--json"]):
        entries = [json.loads(line) for line in beep("history", completed_id, *arguments).out.splitlines()]
        assert [entry["kind"] for entry in entries] == ["state", "run_launched", "state", "state"]
        assert entries[-1]["change"] == "completed"


@pytest.mark.parametrize("option", ["jsonl", "table"])
def test_a_history_for_scripts_is_lines_of_json_whatever_else_is_asked(
    beep: Beep, completed_id: str, option: str
) -> None:
    """`--json` is `--format jsonl`; a table is no JSON, and asking for both is wrong usage."""
    both = beep("history", completed_id, "--json", "--format", option)
    if option == "table":
        assert (both.code, both.out) == (2, "")
    else:
        assert both.out == beep("history", completed_id, "--json").out


def test_a_history_shows_that_a_run_went_on_in_another_worker(beep: Beep, configured: Database) -> None:
    with configured.transaction() as tables:
        execution = claimed(tables)
        again = tables.executions.claim(execution.id, dagster_run_of(execution))
        assert again is not None
        tables.runs.claim(dagster_run_of(execution), again, 60)
    first, second = [line for line in beep("history", execution.id).out.splitlines() if " claimed " in line]
    assert first.endswith(f"claimed by run {dagster_run_of(execution)}")
    assert second.endswith(f"claimed by run {dagster_run_of(execution)}, which goes on in another worker, its number 2")
    entries = map(json.loads, beep("history", execution.id, "--json").out.splitlines())
    assert [entry["worker"] for entry in entries if entry.get("change") == "claimed"] == [1, 2]


def test_pause_and_resume_of_one_execution(beep: Beep, configured: Database) -> None:
    running = _running_id(configured)
    assert beep("pause", running, "--reason", "too dear", "--json").json == {"changed": True}
    assert beep("pause", running, "--reason", "too late", "--json").json == {"changed": False}
    assert beep("pause", running).out == "was paused before\n"
    found = beep("status", running).out
    assert re.search(rf"^paused +since \S+ \S+ UTC \(too dear\); on with 'beep resume {running}'$", found, re.MULTILINE)
    assert beep("history", running).out.count("paused: too dear") == 1
    (pause,) = beep("status", running, "--json").json["pauses"]
    assert (pause["scope"], pause["reason"]) == ("execution", "too dear")
    with configured.transaction() as tables:
        assert tables.executions.load(running).paused_at is not None
    assert beep("resume", running, "--json").json["paused_at"] is None


@pytest.mark.parametrize(("option", "organization"), [("--all", ORGANIZATION), ("--instance", EVERYONE)])
def test_pause_and_resume_of_an_organization_and_of_everyone(
    beep: Beep, configured: Database, option: str, organization: str
) -> None:
    with configured.transaction() as tables:
        waiting = accepted(tables).id
    assert "it waits for 'beep up'" in beep("status", waiting).out
    assert beep("pause", option, "--reason", "a new model", "--json").json == {"changed": True}
    assert beep("pause", option, "--json").json == {"changed": False}
    with configured.transaction() as tables:
        assert {whom: pause.reason for whom, pause in tables.pauses.list_all().items()} == {organization: "a new model"}
    found = beep("status", waiting).out
    assert re.search(
        rf"^paused +with .*since \S+ \S+ UTC \(a new model\); on with 'beep resume {option}'$", found, re.MULTILINE
    )
    assert "none yet; it waits for the end of the pause" in found
    assert f"(a new model); all go on with 'beep resume {option}'" in beep("resume", waiting).error
    assert beep("resume", option, "--json").json == {"changed": True}
    assert beep("resume", option, "--json").json == {"changed": False}


@pytest.mark.parametrize("arguments", [[], ["--all", "--instance"], [UNKNOWN, "--all"]])
@pytest.mark.parametrize("command", ["pause", "resume"])
def test_what_is_to_be_paused_or_resumed_is_named_once(
    beep: Beep, configured: Database, command: str, arguments: list[str]
) -> None:
    assert configured
    result = beep(command, *arguments)
    assert (result.code, result.out) == (2, "")
    assert "give one of an id, --all and --instance" in result.err


def test_prune_counts_and_refuses_what_is_no_number_of_days(beep: Beep, configured: Database) -> None:
    with configured.transaction() as tables:
        row = ended(tables, ExecutionStatus.COMPLETED)
        tables.runs.end(dagster_run_of(row), RunOutcome.SUCCEEDED)
    assert beep("prune", "--older-than", 0, "--dry-run", "--json").json["executions"] == 1
    assert beep("prune", "--older-than", 0, "--dry-run").out == "1 execution would be removed\n"
    assert beep("prune", "--older-than", 30, "--dry-run").out == "0 executions would be removed\n"
    for days in (-1, 36_501):
        assert beep("prune", "--older-than", days, "--dry-run").code == 2
    assert "does not answer" in beep("prune", "--older-than", 0).error  # and nothing is removed without Dagster
    assert beep("prune", "--older-than", 0, "--dry-run", "--json").json["executions"] == 1
    assert beep("prune").code == 2


def test_usage_is_told_by_activity_type_and_account(beep: Beep, configured: Database) -> None:
    assert beep("usage").out == "no calls\n"
    assert beep("usage", "--json").json == {}
    with configured.transaction() as tables:
        for account, tokens in (("june", (1_000, 20)), (None, (5, 7))):
            with_model_call(tables, claimed(tables), account=account, tokens=tokens)
    assert beep("usage", "--account", "june").out == "mentions: 1,000 read, 20 written in 1 call, cost 0.5000\n"
    assert beep("usage", "--account", "july").out == "no calls\n"
    assert beep("usage", "--json").json == {
        "mentions": ModelUsage(calls=2, input_tokens=1_005, output_tokens=27, cost=1.0).model_dump()
    }
    assert beep("--organization", OTHER_ORGANIZATION, "usage").out == "no calls\n"


class Webserver(BaseHTTPRequestHandler):
    """Answers as Dagster does whose code location has one job only."""

    def do_POST(self) -> None:
        entry = {
            "name": "beep_orchestration",
            "loadStatus": "LOADED",
            "locationOrLoadError": {
                "__typename": "RepositoryLocation",
                "repositories": [{"jobs": [{"name": "extraction"}]}],
            },
        }
        workspace = {"__typename": "Workspace", "locationEntries": [entry]}
        instance = {"daemonHealth": {"allDaemonStatuses": []}}
        content = json.dumps({"data": {"version": "1", "workspaceOrError": workspace, "instance": instance}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def webserver(environment: pytest.MonkeyPatch) -> Iterator[None]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Webserver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment.setenv("BEEP_PORT", str(server.server_address[1]))
        yield
        server.shutdown()


@pytest.mark.usefixtures("webserver")
def test_that_the_services_lack_a_workflow_type_is_told_of_what_waits_for_a_run(
    beep: Beep, configured: Database
) -> None:
    with configured.transaction() as tables:
        known, unknown = accepted(tables), accepted(tables, workflow_type="reading_list")
    assert beep("status", known.id).err == ""
    for command in (["status", unknown.id], ["status", unknown.id, "--json"], ["list"], ["list", "--json"]):
        result = beep(*command)
        assert result.code == 0
        (warning,) = result.err.splitlines()
        assert "does not have the workflow type 'reading_list'; name its module in BEEP_WORKFLOW_MODULES" in warning
    assert "extraction  0 done  waits for its first run\n" in beep("list").out
