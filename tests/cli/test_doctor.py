"""`beep doctor` finds what is wrong and says what to do; on a working installation it finds nothing."""

import os
import re
import socket
from pathlib import Path

import pytest
from sqlalchemy import text

from beep_orchestration import doctor
from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.persistence import Database
from beep_orchestration.persistence.pauses import EVERYONE
from beep_orchestration.persistence.stuck import Stuck, Trouble
from beep_orchestration.settings import load_settings
from beep_orchestration.supervisor import Services
from beep_orchestration.supervisor.home import free_port
from beep_orchestration.supervisor.ownership import Owner, Ownership
from tests.cli.conftest import Beep, Result
from tests.factories import OTHER_ORGANIZATION, accepted, claimed


def _problems(result: Result) -> dict[str, dict[str, str]]:
    assert result.json["is_well"] == (result.code == 0)
    return {finding["part"]: finding for finding in result.json["findings"] if not finding["is_well"]}


@pytest.mark.integration
def test_a_working_installation_has_no_problem(beep: Beep, environment: pytest.MonkeyPatch, services: Services) -> None:
    environment.setenv("BEEP_PORT", str(services.settings.port))
    assert services.settings.database_url is not None
    environment.setenv("BEEP_DATABASE_URL", services.settings.database_url.get_secret_value())
    result = beep("doctor", "--json")
    assert _problems(result) == {}
    assert {"database", "migrations", "dagster.yaml", "language model", "code location", "daemon"} <= {
        finding["part"] for finding in result.json["findings"]
    }


@pytest.mark.usefixtures("configured")
def test_absent_services_are_a_problem_with_its_remedy(beep: Beep) -> None:
    result = beep("doctor", "--json")
    assert result.code == 1
    assert list(_problems(result)) == ["webserver", "code location", "daemon", "API server"]
    assert "beep up" in _problems(result)["webserver"]["remedy"]
    printed = beep("doctor").out
    assert "problem  webserver" in printed
    assert "beep up" in printed


@pytest.mark.usefixtures("configured")
def test_services_that_are_being_started_again_are_not_taken_for_absent_ones(beep: Beep) -> None:
    settings = load_settings()
    owner = Owner(os.getpid(), settings.host, settings.port, settings.api_port)
    with Ownership.taken(settings.data_folder, owner):
        found = _problems(beep("doctor", "--json"))
    assert list(found) == ["webserver", "code location", "daemon", "API server"]
    assert found["webserver"]["detail"].endswith(f"although process {os.getpid()} runs the services")
    assert str(settings.data_folder / "logs") in found["webserver"]["remedy"]


def test_a_language_model_without_its_key_is_told_by_the_names_of_the_variables(
    beep: Beep, environment: pytest.MonkeyPatch
) -> None:
    environment.delenv("OPENAI_API_KEY", raising=False)
    environment.setenv("BEEP_LLM_MODEL", "openai:gpt-5-mini")
    found = _problems(beep("doctor", "--json"))["extractor llm"]
    assert found["detail"] == "the language model 'openai:gpt-5-mini' has no key"
    assert found["remedy"] == "set BEEP_LLM_API_KEY or OPENAI_API_KEY where 'beep up' runs"


def test_executions_that_are_stuck_are_counted_and_one_is_named(beep: Beep, configured: Database) -> None:
    result = beep("doctor", "--json")
    assert "none of 0 under way is stuck" in [finding["detail"] for finding in result.json["findings"]]
    with configured.transaction() as tables:
        first = accepted(tables)
        accepted(tables)
        claimed(tables)
        tables.connection.execute(
            text("UPDATE knowledge_workflow_execution SET started_at = started_at - interval '1 hour', launch_at = "
                 "launch_at - interval '1 hour'")
        )  # fmt: skip
    problem = _problems(beep("doctor", "--json"))["executions"]
    assert problem["detail"] == f"2 stuck, due for a run that nobody launches: {first.id} and others"
    assert problem["remedy"] == "run 'beep up'"  # the services do not run here


def test_pauses_in_effect_are_told_and_are_no_problem(beep: Beep, configured: Database) -> None:
    def told() -> str:
        result = beep("doctor", "--json")
        assert "pauses" not in _problems(result)
        (detail,) = [finding["detail"] for finding in result.json["findings"] if finding["part"] == "pauses"]
        assert isinstance(detail, str)
        return detail

    assert told() == "nothing is paused"
    with configured.transaction() as tables:
        tables.executions.pause(accepted(tables).id, "lunch")
        tables.pauses.save(OTHER_ORGANIZATION, "until noon")
        tables.pauses.save(EVERYONE, None)
    when = r"since \S+ \S+ UTC"
    everything = rf"paused: {OTHER_ORGANIZATION} {when} \(until noon\); the whole instance {when}; 1 execution alone"
    assert re.fullmatch(everything, told())


@pytest.mark.parametrize("trouble", Trouble)
def test_each_trouble_of_an_execution_has_its_remedy(trouble: Trouble) -> None:
    execution_id = WorkflowExecutionId.new()
    stuck = Stuck(trouble=trouble, workflow_type="reading_list", count=1, execution_id=execution_id)
    finding = doctor._stuck(stuck, are_services_up=True)
    assert not finding.is_well
    assert finding.detail.startswith("1 stuck, ")
    assert finding.detail.endswith(execution_id)
    assert finding.remedy


@pytest.mark.usefixtures("configured")
def test_a_port_that_something_else_listens_on_is_told_from_a_free_one(beep: Beep) -> None:
    with socket.create_server(("127.0.0.1", load_settings().port)):
        found = _problems(beep("doctor", "--json"))
    assert "something else" in found["webserver"]["detail"]
    assert "BEEP_PORT" in found["webserver"]["remedy"]


def test_a_database_that_does_not_answer_is_a_problem_without_its_password(
    beep: Beep, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("BEEP_DATABASE_URL", f"postgresql://ada:s3cret@127.0.0.1:{free_port('127.0.0.1')}/beep")
    result = beep("doctor", "--json")
    assert "does not answer" in _problems(result)["database"]["detail"]
    assert "s3cret" not in result.out + result.err


def test_a_missing_schema_is_a_problem_of_its_own(
    beep: Beep, environment: pytest.MonkeyPatch, empty_database_url: str
) -> None:
    environment.setenv("BEEP_DATABASE_URL", empty_database_url)
    found = _problems(beep("doctor", "--json"))
    assert "database" not in found
    assert found["migrations"]["remedy"] == "run 'beep migrate'"


def test_nothing_is_made_for_a_user_who_has_no_database_yet(beep: Beep, tmp_path: Path) -> None:
    found = _problems(beep("doctor", "--json"))
    assert "beep up" in found["database"]["remedy"]
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.usefixtures("configured")
def test_a_data_folder_that_cannot_be_written_to_is_a_problem(
    beep: Beep, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    environment.setenv("BEEP_DATA_FOLDER", str(tmp_path / "file"))
    found = _problems(beep("doctor", "--json"))["data folder"]
    assert found["detail"].startswith("BEEP_DATA_FOLDER: cannot use ")
    assert found["remedy"] == "set it to a folder of your own"


@pytest.mark.usefixtures("configured")
def test_a_workflow_module_that_cannot_be_imported_is_a_problem(beep: Beep, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("BEEP_WORKFLOW_MODULES", "json, nope.nope")
    found = _problems(beep("doctor", "--json"))["workflow modules"]
    assert found["detail"] == "BEEP_WORKFLOW_MODULES: nope.nope cannot be imported: No module named 'nope'"
    assert found["remedy"] == "correct the variable or install the module"
    environment.setenv("BEEP_WORKFLOW_MODULES", "json")
    assert "workflow modules" not in _problems(beep("doctor", "--json"))


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize(
    ("entry", "other"),
    [
        ("class: WorkflowStorage", "class: Another"),
        ("class: PromptRunCoordinator", "class: DefaultRunCoordinator"),
        ("free_slots_after_run_end_seconds: ", "free_slots_after_run_end_seconds: 0 #"),
        ("run_launcher:", "ignored:"),  # the default launcher resumes nothing, and Dagster refuses to start
        ("storage:", "storage: ["),
    ],
)
def test_an_instance_file_that_lacks_what_the_workflows_need_is_a_problem(
    beep: Beep, environment: pytest.MonkeyPatch, tmp_path: Path, entry: str, other: str
) -> None:
    original = doctor.INSTANCE_FILE.read_text()
    assert entry in original
    changed = tmp_path / "dagster.yaml"
    changed.write_text(original.replace(entry, other, 1))
    environment.setattr(doctor, "INSTANCE_FILE", changed)
    assert "dagster.yaml" in _problems(beep("doctor", "--json"))
