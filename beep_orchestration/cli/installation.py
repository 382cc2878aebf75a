"""Commands for the installation: demo, up, migrate, doctor."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated

import typer

from beep_orchestration.cli.invocation import AsJson, console, current_settings, print_json


def up(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Run the services until Ctrl-C: PostgreSQL (unless BEEP_DATABASE_URL is set), code server, webserver, daemon.

    What ends by itself is started again. Executions that were under way go on at the next 'beep up'.
    """
    from beep_orchestration.settings import load_settings  # noqa: PLC0415 - help needs none of this
    from beep_orchestration.supervisor import running_services  # noqa: PLC0415

    settings = load_settings()
    screen = console()
    with ended_by_signals(), running_services(settings, report=warn) as services:
        if as_json:
            print_json({"url": services.url, "data_folder": str(settings.data_folder), "pids": services.pids})
        else:
            screen.print(f"Dagster UI   {services.url}", soft_wrap=True)
            screen.print(f"data folder  {settings.data_folder}", soft_wrap=True)
            screen.print("Ctrl-C ends everything.", style="dim")
        services.wait()


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """End the block at the first SIGINT, SIGTERM or SIGHUP, and let no further one cut the ending short."""
    signals = [signum for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(signum) != signal.SIG_IGN]

    def end(signum: int, frame: FrameType | None) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    for each in signals:
        signal.signal(each, end)
    try:
        yield
    except KeyboardInterrupt:
        return
