"""Settings: defaults that work on one machine, and refusals that name the variable and keep the password."""

import os
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from beep_orchestration.errors import ConfigurationError
from beep_orchestration.ids import OrganizationId
from beep_orchestration.settings import Settings, load_settings, socket_url, with_driver

ORGANIZATION = "shared_organization__00000000-0000-7000-8000-0000000000cc"


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("BEEP_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


def test_without_any_setting_everything_stays_on_this_machine() -> None:
    settings = load_settings()
    assert settings.database_url is None
    assert settings.host == "127.0.0.1"
    assert settings.port == 3000
    assert settings.inbox_folder is None
    assert settings.data_folder.is_absolute()


def test_variables_and_the_env_file_are_read_and_variables_win(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"BEEP_PORT=4000\nBEEP_ORGANIZATION={ORGANIZATION}\nOTHER_PROGRAM=1\n")
    monkeypatch.setenv("BEEP_PORT", "5000")
    settings = load_settings()
    assert settings.port == 5000
    assert settings.organization == OrganizationId(ORGANIZATION)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BEEP_PORT", "0"),
        ("BEEP_PORT", "65536"),
        ("BEEP_PORT", "http"),
        ("BEEP_ORGANIZATION", "knowledge_workflow_execution__00000000-0000-7000-8000-000000000001"),
        ("BEEP_ORGANIZATION", "acme"),
        ("BEEP_DATABASE_URL", "mysql://host/database"),
        ("BEEP_MAXIMUM_DOCUMENT_CHARACTERS", "0"),
        ("BEEP_LEASE_SECONDS", "0"),
        ("BEEP_LEASE_SECONDS", "soon"),
        ("BEEP_DAGSTER_TIMEOUT_SECONDS", "-1"),
        ("BEEP_LAUNCH_GRACE_SECONDS", "-1"),
        ("BEEP_MAXIMUM_LAUNCHES_WITHOUT_PROGRESS", "0"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=f"^{name}: .*; correct the variable or unset it$"):
        load_settings()


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("nojson", r"is not JSON \(Expecting value: line 1 column 1 \(char 0\)\), such as .*"),
        ('["x"]', "input should be a valid dictionary"),
        (f'{{"secret-as-a-key": ["{ORGANIZATION}"]}}', "has a key that does not begin with shared_organization__, .*"),
        ('{"shared_organization__a": ["x"]}', "'a' is not a UUID"),
        (f'{{"{ORGANIZATION}": ["x"]}}', rf".* at least 20 .* \({ORGANIZATION}\.0\)"),
    ],
)
def test_wrong_tokens_are_refused_by_the_name_of_their_variable(
    monkeypatch: pytest.MonkeyPatch, value: str, problem: str
) -> None:
    monkeypatch.setenv("BEEP_API_TOKENS", value)
    with pytest.raises(
        ConfigurationError, match=f"^BEEP_API_TOKENS: {problem}; correct the variable or unset it$"
    ) as refusal:
        load_settings()
    assert "secret" not in "".join(traceback.format_exception(refusal.value))


def test_the_password_is_not_shown_in_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEEP_DATABASE_URL", "postgresql://beep:correct-horse@host/database")
    settings = load_settings()
    assert "correct-horse" not in repr(settings) + str(settings) + settings.model_dump_json()
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://beep:correct-horse@host/database"


def test_the_password_is_not_shown_when_the_url_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEEP_DATABASE_URL", "mysql://beep:correct-horse@host/database")
    with pytest.raises(ConfigurationError) as refusal:
        load_settings()
    assert "correct-horse" not in "".join(traceback.format_exception(refusal.value))


def test_settings_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_settings()
    monkeypatch.setenv("BEEP_PORT", "5000")
    assert load_settings() is first


def test_every_setting_is_described() -> None:
    undescribed = {name for name, field in Settings.model_fields.items() if not field.description}
    assert undescribed == set()


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2"])
def test_the_driver_is_chosen_whatever_the_url_says(scheme: str) -> None:
    url = with_driver(f"{scheme}://beep:p%40ss@host:5433/database?sslmode=require", "psycopg")
    assert url == "postgresql+psycopg://beep:p%40ss@host:5433/database?sslmode=require"


@pytest.mark.parametrize("folder", ["plain", "with space", "with?and&and=", "ünicode", "50%40"])
def test_a_socket_folder_of_any_name_survives_the_url(folder: str) -> None:
    url = make_url(socket_url(Path("/data") / folder, "some_database"))
    assert (url.query["host"], url.database, url.username) == (f"/data/{folder}", "some_database", "postgres")


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty host would otherwise mean every interface of the machine."""
    for name in ("BEEP_HOST", "BEEP_DATABASE_URL", "BEEP_DATA_FOLDER", "BEEP_CODE_LOCATION"):
        monkeypatch.setenv(name, "")
    settings = load_settings()
    assert settings.host == "127.0.0.1"
    assert settings.database_url is None
