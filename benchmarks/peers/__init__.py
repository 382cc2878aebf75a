"""The peers: each runs the same eleven activities that do nothing, on the same PostgreSQL server where they can."""

import os
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from beep_orchestration.settings import with_driver
from beep_orchestration.supervisor.home import free_port
from benchmarks.processes import Driver, driver, started

_SCRIPTS = Path(__file__).parent
PREFECT = "BENCH_PREFECT_PYTHON"


@contextmanager
def dbos(folder: Path, database_url: str) -> Iterator[Driver]:
    folder.mkdir()
    url = with_driver(database_url, "psycopg")
    with driver([sys.executable, str(_SCRIPTS / "dbos_peer.py"), url], {}, folder / "log") as peer:
        yield peer


@contextmanager
def prefect(folder: Path) -> Iterator[Driver]:
    """Its server, a process that serves the deployment, and a client; in an environment of its own.

    On SQLite, Prefect's default, because it needs an extension (pg_trgm) that the embedded PostgreSQL does not have.
    """
    folder.mkdir()
    python, port = os.environ[PREFECT], free_port("127.0.0.1")
    environment = {
        "PREFECT_HOME": str(folder),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "DO_NOT_TRACK": "1",
    }
    script = str(_SCRIPTS / "prefect_peer.py")
    server = [python, "-m", "prefect", "server", "start", "--port", str(port), "--no-ui"]
    with ExitStack() as stack:
        stack.enter_context(started(server, environment, folder / "server.log"))
        _wait_for(f"http://127.0.0.1:{port}/api/health")
        stack.enter_context(started([python, script, "serve"], environment, folder / "serve.log"))
        yield stack.enter_context(driver([python, script], environment, folder / "client.log"))


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 - ours, and begins with http
        except OSError:
            time.sleep(0.5)
        else:
            return
    raise TimeoutError(url)
