"""The services of one machine: embedded PostgreSQL, code server, webserver and daemon, which start and end together.

Reading order: `services` (what runs, and for how long), `child` (one process of it), `guard` (why nothing is left
behind), `ownership` (why a data folder has one of it), `readiness` (when it can be used), `code_changes` (for who works
on the code), `home` (its files), `program` (how a command of them starts).
"""

from beep_orchestration.supervisor.ownership import Owner, find_owner
from beep_orchestration.supervisor.services import Services, running_services

__all__ = ["Owner", "Services", "find_owner", "running_services"]
