"""The commands of `beep` in the order in which help lists them."""

from importlib.metadata import version
from typing import Annotated

import typer

from beep_orchestration.cli import executions, graphs, histories, installation, reviews, starting, teaching
from beep_orchestration.cli.invocation import print_text, show_warnings

app = typer.Typer(
    name="beep",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        print_text(f"beep {version('beep-orchestration')}")
        raise typer.Exit


@app.callback()
def beep(
    ctx: typer.Context,
    organization: Annotated[
        str | None,
        typer.Option(
            help="The organization whose executions are meant; BEEP_ORGANIZATION otherwise.", show_default=False
        ),
    ] = None,
    trace: Annotated[bool, typer.Option("--trace", help="Show the whole trace of an error.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    """Turn documents into knowledge graphs, durably: what was done once is not done again.

    [bold]beep demo[/] shows all of it. For work: [bold]beep up[/] in one terminal, then in another

        beep start notes.txt --wait

        beep list

        beep graph ID --format html --output graph.html
    """
    show_warnings()
    ctx.obj.organization, ctx.obj.trace = organization, trace


app.command()(installation.demo)
app.command()(installation.up)
app.command()(installation.serve)
app.command()(starting.start)
app.command()(teaching.teach)
app.command()(executions.status)
app.command()(executions.watch)
app.command()(executions.signal)
app.command()(executions.cancel)
app.command()(reviews.review)
app.command()(executions.pause)
app.command()(executions.resume)
app.command()(histories.history)
app.command("list")(executions.list_executions)
app.command()(executions.usage)
app.command()(graphs.graph)
app.command()(installation.prune)
app.command()(installation.migrate)
app.command()(installation.doctor)
