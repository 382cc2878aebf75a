"""The `beep` command. Thin: parse, ask the service, print.

`starting`, `executions` and `graphs` have what is done with executions, `installation` the services. Nothing here loads
Dagster or spaCy; what does is imported by the command that needs it.
"""

import sys
from collections.abc import Sequence
from io import TextIOWrapper

from beep_orchestration.cli.commands import app
from beep_orchestration.cli.invocation import Invocation, ended_by_signals, print_error

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point: exit code 0 if all is well, 1 if something was refused or failed, 2 for wrong usage.

    An error is one line on stderr; with --trace its whole trace.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that cannot show a name is no reason to fail
    invocation = Invocation()
    try:
        with ended_by_signals():
            app(arguments, prog_name="beep", obj=invocation)
    except Exception as error:
        if invocation.trace:
            raise
        print_error(error)
        sys.exit(1)
