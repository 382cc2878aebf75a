"""Commands for the installation: demo, up, prune, migrate, doctor."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from beep_orchestration.cli.executions import require_completed
from beep_orchestration.cli.invocation import (
    AsJson,
    connected,
    console,
    current_settings,
    print_json,
    print_text,
    print_warning,
)
from beep_orchestration.counts import counted


def up(
    *,
    reload: Annotated[
        bool, typer.Option("--reload", help="For work on the code: load it again when it changes.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run the services until Ctrl-C: PostgreSQL, code server, webserver, daemon and API server.

    PostgreSQL only if BEEP_DATABASE_URL is not set. What ends by itself is started again. Executions that were under
    way go on at the next 'beep up'.
    """
    from beep_orchestration.settings import load_settings  # noqa: PLC0415 - help needs none of this
    from beep_orchestration.supervisor import running_services  # noqa: PLC0415

    settings = load_settings()
    if not as_json:
        print_text("Starting ...", style="dim")
    with suppress(KeyboardInterrupt), running_services(settings, report=print_warning, reload=reload) as services:
        if as_json:
            print_json(
                {
                    "url": services.url,
                    "api_url": settings.api_url,
                    "data_folder": str(settings.data_folder),
                    "pids": services.pids,
                }
            )
        else:
            print_text(f"live pages   {settings.api_url}")
            print_text(f"Dagster UI   {services.url}")
            print_text(f"data folder  {settings.data_folder}")
            print_text("Ctrl-C ends everything.", style="dim")
        services.wait()


def demo(
    ctx: typer.Context,
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the services running until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Extract the example documents and show their graphs; nothing needs to run before.

    The pictures are written to the folder 'out' here. A second time only what has changed is extracted. With --json
    stdout has a line for each document at the end, and what people read is on stderr.
    """
    from beep_orchestration.demo import run_demo  # noqa: PLC0415 - help needs none of this
    from beep_orchestration.settings import load_settings  # noqa: PLC0415

    ended = run_demo(
        load_settings(),
        console(stderr=as_json),
        organization=ctx.obj.organization,
        output_folder=Path("out"),
        keep=keep,
        report=print_json if as_json else None,
    )
    require_completed(ended)


def serve(*, as_json: AsJson = False) -> None:
    """Serve the HTTP API and its live pages until Ctrl-C; 'beep up' does that too.

    On another host than loopback BEEP_API_TOKENS is needed.
    """
    from beep_orchestration.api import serve as serve_api  # noqa: PLC0415 - help needs none of it

    def tell(url: str) -> None:
        if as_json:
            print_json({"url": url})
        else:
            print_text(f"live pages   {url}")

    with suppress(KeyboardInterrupt):
        serve_api(current_settings(), ready=tell)


def migrate(*, as_json: AsJson = False) -> None:
    """Bring the database's schema to the one that this version needs; nothing happens if it is there."""
    from beep_orchestration import embedded  # noqa: PLC0415
    from beep_orchestration.persistence import Database, schema  # noqa: PLC0415
    from beep_orchestration.settings import load_settings  # noqa: PLC0415

    with embedded.database_url(load_settings()) as url:
        database = Database(url)
        try:
            schema.migrate(database.engine)
        finally:
            database.close()
    if as_json:
        print_json({"revision": schema.EXPECTED_REVISION})
    else:
        print_text(f"the schema of {database.safe_url} is at {schema.EXPECTED_REVISION}")


def prune(
    ctx: typer.Context,
    *,
    older_than: Annotated[
        float,
        typer.Option(
            "--older-than",
            min=0,
            max=36_500,
            metavar="DAYS",
            help="How long ago they ended, in days.",
            show_default=False,
        ),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count only.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove executions that ended long ago, with their runs in Dagster; needs 'beep up'.

    What runs, waits or is carried by a run is never removed.

        beep prune --older-than 30 --dry-run
    """
    with connected(ctx) as service:
        pruned = service.prune(older_than, dry_run=dry_run)
    if as_json:
        print_json(pruned)
    elif pruned.is_dry_run:
        print_text(f"{counted(pruned.executions, 'execution')} would be removed")
    else:
        runs = counted(pruned.dagster_runs or 0, "run")
        print_text(f"removed {counted(pruned.executions, 'execution')} with {runs} in Dagster")


def doctor(*, as_json: AsJson = False) -> None:
    """Check every part of the installation and say what to do; exit code 1 if there is a problem."""
    from beep_orchestration.doctor import examine  # noqa: PLC0415

    findings = []
    for finding in examine(current_settings()):
        findings.append(finding)
        if not as_json:
            word, style = ("ok", "green") if finding.is_well else ("problem", "red")
            print_text(f"{word:<8} {finding.part:<19} {finding.detail}", style=style)
            if finding.remedy is not None:
                print_text(f"{'':<28} {finding.remedy}")
    is_well = all(finding.is_well for finding in findings)
    if as_json:
        print_json({"is_well": is_well, "findings": [finding.model_dump() for finding in findings]})
    if not is_well:
        raise typer.Exit(1)
