"""The `beep` command. Thin: parse, ask the service, print.

`starting`, `executions` and `graphs` have what is done with executions, `installation` the services. Nothing here loads
Dagster or spaCy; what does is imported by the command that needs it.
"""

from beep_orchestration.cli.commands import app

__all__ = ["main"]


def main() -> None:
    """The entry point: exit code 0 if all is well, 1 if something was refused or failed, 2 for wrong usage."""
    app()
