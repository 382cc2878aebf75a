"""What launchers and fork servers say to each other: one line of JSON each way over a Unix socket, nothing pickled."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from beep_orchestration.engine.launcher_worker import WorkerIdentity

MAXIMUM_LINE_BYTES = 1_000_000
RELEASE = b"run\n"
"""What a launcher sends to a forked worker once it has stored the worker's identity."""


class Message(BaseModel):
    """A message of the protocol; `line` is how it travels."""

    model_config = ConfigDict(frozen=True)

    def line(self) -> bytes:
        """The message as one line."""
        return self.model_dump_json().encode() + b"\n"


class ForkServerSettings(Message):
    """What a fork server is started with, on its standard input."""

    server_folder: Path
    worker_folder: Path
    repository_origin: str
    """Dagster's `RepositoryPythonOrigin`, serialised by Dagster."""
    instance_ref: str
    """Dagster's `InstanceRef`, serialised by Dagster."""
    preload: tuple[str, ...]
    prepare: tuple[str, ...]
    idle_timeout_seconds: float
    start_timeout_seconds: int


class LaunchRequest(Message):
    """Fork a worker for this run."""

    kind: Literal["launch"] = "launch"
    run_id: str
    resume: bool


class WarmUpRequest(Message):
    """Say whether the code in memory is the code on disk; the answer is `Ready` or `Outdated`."""

    kind: Literal["warm_up"] = "warm_up"


class Forked(Message):
    """The worker exists and waits for `RELEASE`; if the connection ends first, it exits and has done nothing."""

    kind: Literal["forked"] = "forked"
    worker: WorkerIdentity


class Outdated(Message):
    """The code on disk is newer than the code in memory; this server takes no more runs."""

    kind: Literal["outdated"] = "outdated"
    changed: str


class Refused(Message):
    """The server cannot start, or cannot fork a worker."""

    kind: Literal["refused"] = "refused"
    reason: str
    error: str | None = None
    """Dagster's `SerializableErrorInfo`, serialised by Dagster."""


class Ready(Message):
    """The server has loaded everything and listens."""

    kind: Literal["ready"] = "ready"


Reply = Annotated[Forked | Outdated | Refused | Ready, Field(discriminator="kind")]
_reply_adapter: TypeAdapter[Reply] = TypeAdapter(Reply)

Request = Annotated[LaunchRequest | WarmUpRequest, Field(discriminator="kind")]
_request_adapter: TypeAdapter[Request] = TypeAdapter(Request)


def parse_request(line: bytes | bytearray) -> Request:
    """The request in that line."""
    return _request_adapter.validate_json(line)


def parse_reply(line: bytes) -> Reply | None:
    """The reply in that line; None if the other side ended before it had sent all of it."""
    return _reply_adapter.validate_json(line) if line.endswith(b"\n") else None


@contextmanager
def socket_address(server_folder: Path) -> Iterator[str]:
    """The address of the folder's socket, short enough for a socket address (108 bytes) whatever the folder's path."""
    descriptor = os.open(server_folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/server.sock"
    finally:
        os.close(descriptor)
