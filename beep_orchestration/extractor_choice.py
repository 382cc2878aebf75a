"""Which extractors an execution works with: those that its input names."""

from collections.abc import Callable
from typing import assert_never

from beep_orchestration.extraction import Extractors, local_extractors
from beep_orchestration.extraction.model import ExtractionInput
from beep_orchestration.resources import ExecutionSession

ExtractorChoice = Callable[[ExecutionSession], Extractors]
"""The resource by which ops get their extractors. Called by each op of each run; costs next to nothing."""


def choose_extractors(session: ExecutionSession) -> Extractors:
    """The extractors of the execution's input."""
    document: ExtractionInput = session.input
    match document.extractor:
        case "local":
            return local_extractors()
        case unknown:
            assert_never(unknown)
