"""What all commands share: the global options, the connection, how they print and how they fail."""

import json
import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import BaseModel

from beep_orchestration.errors import BeepError

if TYPE_CHECKING:
    from rich.console import Console

    from beep_orchestration.service import WorkflowService
    from beep_orchestration.settings import Settings

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
ExecutionId = Annotated[str, typer.Argument(metavar="ID", help="The execution's id.", show_default=False)]


@dataclass
class Invocation:
    """The global options of this call of `beep`."""

    organization: str | None = None
    trace: bool = False


@contextmanager
def connected(ctx: typer.Context) -> Iterator["WorkflowService"]:
    """The service of the organization that was named, at the database and the webserver that run now."""
    from beep_orchestration.service import WorkflowService  # noqa: PLC0415 - help and completion need no database

    with WorkflowService.connect(current_settings(), organization_id=ctx.obj.organization) as service:
        yield service


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Raise KeyboardInterrupt at the first SIGINT, SIGTERM or SIGHUP, and let no further one interrupt the ending.

    So whatever the block has started, it also ends.
    """
    signals = [
        signum
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(signum) != signal.SIG_IGN
    ]

    def end(_signum: int, _frame: FrameType | None) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {each: signal.signal(each, end) for each in signals}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def current_settings() -> "Settings":
    """The settings, with the ports on which this data folder's services listen unless BEEP_PORT says another."""
    from beep_orchestration.settings import load_settings  # noqa: PLC0415
    from beep_orchestration.supervisor.ownership import find_owner  # noqa: PLC0415

    settings = load_settings()
    owner = None if "port" in settings.model_fields_set else find_owner(settings.data_folder)
    if owner is None:
        return settings
    return settings.model_copy(update={"host": owner.host, "port": owner.port, "api_port": owner.api_port})


def print_json(value: BaseModel | dict[str, Any]) -> None:
    """One JSON object on one line, in ASCII, so that any pipe and any encoding carries it."""
    data = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    print(json.dumps(data), flush=True)


def print_text(text: str, style: str = "") -> None:
    """A line for people: whole, however long, and with nothing in it that a terminal would obey."""
    from rich.text import Text  # noqa: PLC0415 - JSON needs none of it

    from beep_orchestration.extraction.exports.characters import visible  # noqa: PLC0415

    console().print(Text(visible(text), style=style), soft_wrap=True)


def print_error(error: Exception, source: str | None = None) -> None:
    """`error: ...` on one line of stderr."""
    message = _message(error)
    _print_line("error", message if source is None or source in message else f"{source}: {message}")


def print_warning(message: str) -> None:
    """`warning: ...` on stderr; further lines of the message, such as those of a program that failed, follow below."""
    first, *others = message.splitlines()
    _print_line("warning", first)
    for line in others:
        print(f"  {line}", file=sys.stderr, flush=True)


def show_warnings() -> None:
    """Let what the package logs as a warning reach the person as `warning: ...` on one line of stderr."""
    package_logger = logging.getLogger("beep_orchestration")
    if not any(isinstance(handler, _WarningLines) for handler in package_logger.handlers):
        package_logger.addHandler(_WarningLines(logging.WARNING))
        package_logger.propagate = False


def console(*, stderr: bool = False) -> "Console":
    """Where people read; no colours and no cropped lines if it is not a terminal."""
    from rich.console import Console  # noqa: PLC0415

    return Console(highlight=False, stderr=stderr)


class _WarningLines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _print_line("warning", record.getMessage())


def _message(error: Exception) -> str:
    if isinstance(error, BeepError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    return f"{type(error).__name__}: {error}; run it again with --trace and report it"


def _print_line(kind: str, message: str) -> None:
    from beep_orchestration.extraction.exports.characters import visible  # noqa: PLC0415

    print(f"{kind}: {' '.join(visible(message).split())}", file=sys.stderr, flush=True)
