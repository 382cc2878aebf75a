"""The code location of the launcher's tests: jobs that tell who runs them, hang, or die."""

import atexit
import gc
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import dagster as dg

ANSWER = "before"


def append_pid(path: Path) -> None:
    """Tell which process has run this exit function."""
    with path.open("a") as file:
        file.write(f"{os.getpid()}\n")


atexit.register(append_pid, Path(__file__).with_name("exit-functions-of-import"))


class Files(dg.Config):
    """Where the op leaves what the test reads."""

    folder: str


def write(config: Files, name: str, **content: object) -> None:
    """Leave a JSON file that is there as a whole or not at all."""
    path = Path(config.folder) / name
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(content))
    unfinished.rename(path)


@dg.op
def describe_process(config: Files) -> None:
    atexit.register(append_pid, Path(config.folder) / "exit-functions-of-run")
    descriptors = list(Path("/proc/self/fd").iterdir())
    write(
        config,
        "process.json",
        pid=os.getpid(),
        parent=os.getppid(),
        session=os.getsid(0),
        group=os.getpgid(0),
        descriptors=[str(path.readlink()) for path in descriptors if path.is_symlink()],
        python_threads=[thread.name for thread in threading.enumerate()],
        native_threads=len(list(Path("/proc/self/task").iterdir())),
        answer=ANSWER,
        collects_garbage=gc.isenabled() and gc.get_threshold()[0] > 0,
    )


@dg.job(executor_def=dg.in_process_executor)
def describe() -> None:
    describe_process()


@dg.op
def draw_number(config: Files) -> None:
    from numpy import random  # noqa: PLC0415 - a fork server that is told to has loaded it

    write(config, "number.json", number=random.random())  # noqa: NPY002 - the generator that all share


@dg.job(executor_def=dg.in_process_executor)
def draw() -> None:
    draw_number()


@dg.op
def die_by_signal(config: Files) -> None:
    write(config, "dying.json")
    os.kill(os.getpid(), signal.SIGSEGV)


@dg.job(executor_def=dg.in_process_executor)
def die() -> None:
    die_by_signal()


@dg.op
def fail_step(config: Files) -> None:
    write(config, "failing.json")
    raise ValueError("a mistake of the user")


@dg.job(executor_def=dg.in_process_executor)
def fail() -> None:
    fail_step()


@dg.op
def wait_for_interrupt(config: Files) -> None:
    write(config, "waiting.json", pid=os.getpid())
    signal.pause()


@dg.job(executor_def=dg.in_process_executor)
def wait() -> None:
    wait_for_interrupt()


@dg.op
def ignore_requests(config: Files) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    write(config, "waiting.json", pid=os.getpid(), child=child.pid)
    while True:
        signal.pause()


@dg.job(executor_def=dg.in_process_executor)
def refuse_to_end() -> None:
    ignore_requests()


@dg.op
def first(config: Files) -> None:
    write(config, "first.json")


@dg.op(ins={"start": dg.In(dg.Nothing)})
def wait_the_first_time(config: Files) -> None:
    if not (Path(config.folder) / "waiting.json").exists():
        write(config, "waiting.json", pid=os.getpid())
        signal.pause()


@dg.job(executor_def=dg.in_process_executor)
def wait_once() -> None:
    wait_the_first_time(start=first())


defs = dg.Definitions(jobs=[describe, draw, die, fail, wait, refuse_to_end, wait_once])
