"""A command of the Python environment, started with less work: `python -P program.py NAME ARGUMENT ...`.

NAME is that of its script, or `module:function`. What a command imports stays, hundreds of thousands of objects. Python
would look for garbage among those that are there again and again while more are made, and whenever the process has made
a quarter as many again; that is a third of what the start of one of Dagster's commands costs.
"""

import gc
import sys
from importlib.metadata import EntryPoint, entry_points


def main() -> None:
    """Run the command as its script beside the interpreter does."""
    sys.argv = sys.argv[1:]
    gc.disable()
    run = _find(sys.argv[0]).load()
    gc.freeze()  # with what is garbage by now, 3 in 100 at most: to look for it costs 0.2 s
    gc.enable()
    sys.exit(run())


def _find(name: str) -> EntryPoint:
    if ":" in name:
        return EntryPoint(name, name, "")
    (script,) = entry_points(group="console_scripts", name=name)
    return script


if __name__ == "__main__":
    main()
