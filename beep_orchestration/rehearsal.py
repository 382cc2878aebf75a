"""The hooks of the run launcher: a whole run, of which nothing is stored, before any fork; connections after it."""

import threading

import dagster as dg

from beep_orchestration import embedded
from beep_orchestration.definitions import defs
from beep_orchestration.persistence import process_database
from beep_orchestration.settings import load_settings
from beep_orchestration.workflow_types import EXTRACTION

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def rehearse() -> None:
    """Pay here what the first run of a process pays: imports, the model, the ontology, compiled statements.

    Extracts the example document of the launchpad in a transaction that is rolled back. Leaves neither a connection nor
    a thread. Raises `DatabaseUnavailableError`, `SchemaVersionError`, and whatever the run raises.
    """
    with embedded.database_url(load_settings()) as url:
        database = process_database(url)
        try:
            with database.rehearsal(), dg.DagsterInstance.ephemeral() as instance:
                defs.resolve_job_def(EXTRACTION.job_name).execute_in_process(run_config=_QUIET, instance=instance)
        finally:
            database.close()
    for thread in set(threading.enumerate()) - {threading.main_thread()}:
        thread.join()


def warm_up() -> None:
    """Open the connections of a run in a worker that waits for it. Raises `DatabaseUnavailableError`."""
    with embedded.database_url(load_settings()) as url:
        process_database(url).warm_up()
