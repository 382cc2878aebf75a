"""What is in the data folder is for its owner alone, also where an earlier version left it open."""

import os
import stat
from pathlib import Path

import pytest

from beep_orchestration.data_folder import make_data_folder
from beep_orchestration.errors import ConfigurationError

CLOSED = 0o711 if os.geteuid() == 0 else 0o700
"""As root the embedded server's own user passes through; it cannot list the folder."""


def mode_of(path: Path) -> int:
    """The permissions of a file or folder."""
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_folder_is_closed_to_other_users(tmp_path: Path) -> None:
    make_data_folder(tmp_path / "new" / "data")
    assert mode_of(tmp_path / "new" / "data") & ~CLOSED == 0


def test_an_open_folder_of_ours_is_closed_with_what_is_in_it(tmp_path: Path) -> None:
    names = ("dagster", "learned", "logs", "step_output")
    for name in names:
        (tmp_path / name).mkdir(mode=0o755)
    (tmp_path / "postgres.lock").touch(0o644)
    tmp_path.chmod(0o755)
    make_data_folder(tmp_path)
    assert mode_of(tmp_path) == CLOSED
    assert mode_of(tmp_path / "postgres.lock") == 0o600
    assert {name: mode_of(tmp_path / name) for name in names} == dict.fromkeys(names, 0o700)


def test_a_folder_with_things_of_others_stays_as_it_is_and_ours_in_it_are_closed(tmp_path: Path) -> None:
    """Before the first start a `logs` in it is another's."""
    (tmp_path / "letters").mkdir(mode=0o755)
    (tmp_path / "logs").mkdir(mode=0o755)
    tmp_path.chmod(0o755)
    make_data_folder(tmp_path)
    assert [mode_of(path) for path in (tmp_path, tmp_path / "letters", tmp_path / "logs")] == [0o755, 0o755, 0o755]
    lock = tmp_path / "services.lock"
    lock.touch(0o644)
    make_data_folder(tmp_path)
    assert [mode_of(path) for path in (tmp_path, tmp_path / "letters", tmp_path / "logs")] == [0o755, 0o755, 0o700]
    assert mode_of(lock) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_lock_of_another_user_does_not_make_a_folder_with_other_things_ours(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir(mode=0o755)
    (tmp_path / "logs").mkdir(mode=0o755)
    (tmp_path / "services.lock").touch(0o644)
    os.chown(tmp_path / "services.lock", 65534, -1)
    make_data_folder(tmp_path)
    assert mode_of(tmp_path / "logs") == 0o755


def test_nothing_is_opened_and_what_else_a_mode_says_is_kept(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs").chmod(0o2570)
    tmp_path.chmod(0o3750)
    make_data_folder(tmp_path)
    assert mode_of(tmp_path) == 0o3750 & (0o7000 | CLOSED)
    assert mode_of(tmp_path / "logs") == 0o2500


def test_where_a_link_leads_is_not_closed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    elsewhere, data = tmp_path / "elsewhere", tmp_path / "data"
    elsewhere.mkdir(mode=0o755)
    data.mkdir()
    (data / "logs").symlink_to(elsewhere)
    (data / "services.lock").symlink_to(elsewhere / "file")
    (elsewhere / "file").touch(0o644)
    make_data_folder(data)
    assert [mode_of(elsewhere), mode_of(elsewhere / "file")] == [0o755, 0o644]
    assert f"cannot close {data / 'logs'} to other users" in caplog.text


def test_a_data_folder_that_a_link_leads_to_is_closed(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir(mode=0o755)
    (tmp_path / "data").symlink_to(tmp_path / "disk")
    make_data_folder(tmp_path / "data")
    assert mode_of(tmp_path / "disk") == CLOSED


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"BEEP_DATA_FOLDER: cannot use .*file/data"):
        make_data_folder(tmp_path / "file" / "data")
