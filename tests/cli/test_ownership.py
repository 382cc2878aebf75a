"""One owner per data folder, as long as it or its guard lives."""

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from beep_orchestration.errors import ConfigurationError
from beep_orchestration.supervisor.home import check_port, free_port
from beep_orchestration.supervisor.ownership import Owner, Ownership, find_owner

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


def test_the_sockets_of_an_owner_that_died_with_its_guard_are_removed_by_the_next(tmp_path: Path) -> None:
    sockets = tmp_path / "sockets"
    sockets.mkdir()
    (sockets / "code.sock").touch()
    with Ownership.taken(tmp_path / "data", replace(OWNER, folder=str(sockets))):
        assert sockets.exists()
        with pytest.raises(ConfigurationError), Ownership.taken(tmp_path / "data", OWNER):
            pass
        assert sockets.exists()  # they are in use
    with Ownership.taken(tmp_path / "data", OWNER):
        assert not sockets.exists()


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
