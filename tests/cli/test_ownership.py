"""One owner per data folder, as long as it or its guard lives."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from beep_orchestration.errors import ConfigurationError, DatabaseUnavailableError
from beep_orchestration.settings import Settings
from beep_orchestration.supervisor.home import check_port, free_port
from beep_orchestration.supervisor.ownership import Owner, Ownership, find_owner
from beep_orchestration.supervisor.services import running_services

CHECKOUT = Path(__file__).parents[2]
OWNER = Owner(os.getpid(), "127.0.0.1", 3000, 3001)
HOLD = """
import os, sys
from pathlib import Path
from beep_orchestration.supervisor.ownership import Owner, Ownership
with Ownership.taken(Path(sys.argv[1]), Owner(os.getpid(), "127.0.0.1", 4000, 4001)) as ownership:
    os.set_inheritable(ownership.descriptor, True)
    if os.fork() == 0:
        sys.stdin.read()
        os._exit(0)
    print("held", flush=True)
    os.kill(os.getpid(), 9)
"""


def test_the_owner_is_found_while_it_holds_the_lock(tmp_path: Path) -> None:
    assert find_owner(tmp_path / "absent") is None
    with Ownership.taken(tmp_path / "data", OWNER) as ownership:
        assert find_owner(tmp_path / "data") == OWNER
        ready = replace(OWNER, is_ready=True)
        ownership.announce(ready)
        assert find_owner(tmp_path / "data") == ready
    assert find_owner(tmp_path / "data") is None


def test_a_second_owner_is_refused_with_the_first_one_named(tmp_path: Path) -> None:
    with (
        Ownership.taken(tmp_path, OWNER),
        pytest.raises(ConfigurationError, match=f"process {os.getpid()} runs the services"),
        Ownership.taken(tmp_path, Owner(1, "127.0.0.1", 3001, 3002)),
    ):
        pass
    with Ownership.taken(tmp_path, OWNER):
        assert find_owner(tmp_path) == OWNER


@pytest.fixture
def sockets() -> Iterator[Path]:
    """A folder of sockets, where services have it."""
    folder = Path(tempfile.mkdtemp(prefix="beep-"))
    (folder / "code.sock").touch()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def dead() -> Owner:
    """An owner whose process has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return replace(OWNER, pid=process.pid)


def _leave_behind(data_folder: Path, owner: Owner) -> None:
    """What is in the data folder after that owner and its guard were killed."""
    data_folder.mkdir(exist_ok=True)
    (data_folder / "services.lock").write_text(json.dumps(asdict(owner)))


def test_the_sockets_of_an_owner_that_died_with_its_guard_are_removed_by_the_next(
    tmp_path: Path, sockets: Path, dead: Owner
) -> None:
    """They are in use as long as the ports are: who is refused those leaves them to the next one."""
    _leave_behind(tmp_path / "data", replace(dead, folder=str(sockets)))
    nowhere = SecretStr("postgresql://127.0.0.1:1/none")
    settings = Settings(data_folder=tmp_path / "data", port=free_port("127.0.0.1"), database_url=nowhere)
    for taken in (settings.port, settings.api_port):
        with (
            socket.create_server(("127.0.0.1", taken)),
            pytest.raises(ConfigurationError, match="cannot listen"),
            running_services(settings),
        ):
            pass
        assert sockets.exists()
    with pytest.raises(DatabaseUnavailableError), running_services(settings):
        pass
    assert not sockets.exists()


def test_the_sockets_of_an_owner_that_lives_are_left_alone(tmp_path: Path, sockets: Path) -> None:
    """Its record is in a copy of its data folder too."""
    _leave_behind(tmp_path / "copy", replace(OWNER, folder=str(sockets)))
    with Ownership.taken(tmp_path / "copy", OWNER) as ownership:
        ownership.remove_remains()
    assert sockets.exists()


def _elsewhere(sockets: Path) -> Path:
    folder = sockets / "beep-elsewhere"
    folder.mkdir()
    return folder


def _other_name(sockets: Path) -> Path:
    return sockets.rename(sockets.with_name(f"not-{sockets.name}"))


def _link(sockets: Path) -> Path:
    link = sockets.with_name(f"{sockets.name}-link")
    link.symlink_to(sockets)
    return link


def _of_another_user(sockets: Path) -> Path:
    os.chown(sockets, 65534, -1)
    return sockets


@pytest.mark.parametrize(
    "make",
    [
        _elsewhere,
        _other_name,
        _link,
        pytest.param(_of_another_user, marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root can give away")),
    ],
)
def test_what_is_no_folder_of_sockets_is_not_removed_whatever_names_it(
    tmp_path: Path, sockets: Path, dead: Owner, make: Callable[[Path], Path]
) -> None:
    folder = make(sockets)
    try:
        _leave_behind(tmp_path / "data", replace(dead, folder=str(folder)))
        with Ownership.taken(tmp_path / "data", OWNER) as ownership:
            ownership.remove_remains()
        assert folder.exists()
    finally:
        if folder.is_symlink():
            folder.unlink()
        else:
            shutil.rmtree(folder)


@pytest.mark.parametrize(
    "text", ['{"pid": "x"}', "[]", '{"pid": 1, "host": "h", "port": 1, "api_port": 2, "folder": 3}']
)
def test_a_record_that_is_none_names_no_owner(tmp_path: Path, text: str) -> None:
    (tmp_path / "services.lock").write_text(text)
    with Ownership.taken(tmp_path, OWNER) as ownership:
        ownership.remove_remains()
        assert find_owner(tmp_path) == OWNER


def test_after_an_end_no_sockets_are_named_any_more(tmp_path: Path, sockets: Path, dead: Owner) -> None:
    """The name is free then for a folder of somebody else's."""
    with Ownership.taken(tmp_path, dead) as ownership:
        ownership.announce(replace(dead, folder=str(sockets)))
    with Ownership.taken(tmp_path, OWNER) as ownership:
        ownership.remove_remains()
    assert sockets.exists()


def test_a_long_path_of_sockets_is_written_down_whole(tmp_path: Path) -> None:
    owner = replace(OWNER, folder="/" + "ä" * 1000)
    with Ownership.taken(tmp_path, owner):
        assert find_owner(tmp_path) == owner


def test_after_a_killed_owner_the_next_waits_until_its_guard_is_done(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=CHECKOUT
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert holder.wait(10) == -9
        left_behind = find_owner(tmp_path)
        assert left_behind is not None
        assert left_behind.pid == holder.pid
        holder.stdin.close()
        with Ownership.taken(tmp_path, OWNER):
            assert find_owner(tmp_path) == OWNER


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="BEEP_DATA_FOLDER"), Ownership.taken(tmp_path / "file" / "x", OWNER):
        pass


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104 - the case is the point
def test_a_taken_port_is_refused_and_a_free_one_is_not(host: str) -> None:
    port = free_port(host)
    check_port(host, port)
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(ConfigurationError, match=rf"BEEP_PORT: cannot listen on {host}:{port}"),
    ):
        check_port(host, port)
    check_port(host, port)


def test_a_host_that_is_not_ours_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="BEEP_PORT"):
        check_port("203.0.113.1", 3000)
    with pytest.raises(ConfigurationError, match="BEEP_HOST"):
        free_port("203.0.113.1")
