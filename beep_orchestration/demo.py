"""The demonstration: real documents become graphs, on the real services."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from beep_orchestration.digests import canonical_digest
from beep_orchestration.errors import BeepError, ConfigurationError
from beep_orchestration.extraction import decode_document
from beep_orchestration.extraction.exports import GraphFormat, export
from beep_orchestration.extraction.exports.terminal import to_terminal
from beep_orchestration.extraction.local.language_model import identity
from beep_orchestration.extraction.model import Graph
from beep_orchestration.models import ExecutionStatus, Json
from beep_orchestration.progress import follow
from beep_orchestration.service import WorkflowService
from beep_orchestration.settings import Settings
from beep_orchestration.supervisor import Services, find_owner, running_services
from beep_orchestration.supervisor.home import check_port, free_port

DOCUMENTS = Path(__file__).parents[1] / "examples" / "documents"
_RELATIONS = 5


@dataclass(frozen=True)
class Picture:
    """One document's graph as a page, and the execution that made it."""

    execution_id: str
    path: Path
