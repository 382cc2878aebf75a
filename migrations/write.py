"""Writes a migration for what changed in `beep_orchestration/tables.py`: `make migration MESSAGE="what changes"`.

The tables are compared with what the present migrations make of an empty database, in a PostgreSQL of its own.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from alembic import command

from beep_orchestration import embedded
from beep_orchestration.persistence import Database
from beep_orchestration.persistence.schema import EXPECTED_REVISION, alembic_config, migrate


def main(message: str) -> None:
    """Write the next migration, or say that there is nothing to write."""
    if not message.strip():
        sys.exit('say what changes: make migration MESSAGE="what changes"')
    folder = Path(tempfile.mkdtemp(prefix="beep-migration-"))
    url, _ = embedded.start(folder)
    database = Database(url)
    try:
        migrate(database.engine)
        revision = f"{int(EXPECTED_REVISION) + 1:04}"
        with database.engine.connect() as connection:
            command.revision(
                alembic_config(connection),
                message,
                autogenerate=True,
                rev_id=revision,
                process_revision_directives=_only_if_changed,
            )
    finally:
        database.close()
        embedded.stop(folder)
        shutil.rmtree(folder, ignore_errors=True)
    print(f"then set EXPECTED_REVISION to {revision!r} in beep_orchestration/persistence/schema.py")  # noqa: T201


def _only_if_changed(_context: object, _revision: object, directives: list[object]) -> None:
    script = directives[0]
    if script.upgrade_ops.is_empty():  # type: ignore[attr-defined]
        print("tables.py and the migrations agree: nothing to write")  # noqa: T201
        sys.exit(0)


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]))
