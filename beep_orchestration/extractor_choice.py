"""Which extractors an execution works with: those that its input names."""

from collections.abc import Callable
from typing import assert_never

from beep_orchestration.extraction import Extractors, examples_of, extractors_for
from beep_orchestration.extraction.llm import llm_extractors
from beep_orchestration.extraction.llm.language_model import language_model, require_llm
from beep_orchestration.extraction.model import ExtractionInput
from beep_orchestration.model_calls import RecordedCalls
from beep_orchestration.resources import ExecutionSession
from beep_orchestration.settings import load_settings

ExtractorChoice = Callable[[ExecutionSession], Extractors]
"""The resource by which ops get their extractors. Called by each op of each run; costs next to nothing."""


def choose_extractors(session: ExecutionSession) -> Extractors:
    """The extractors of the execution's input."""
    document: ExtractionInput = session.input
    match document.extractor:
        case "local":
            return extractors_for(document, shelf=load_settings().data_folder / "learned")
        case "llm":
            return _llm_extractors(session, document)
        case unknown:
            assert_never(unknown)


def _llm_extractors(session: ExecutionSession, document: ExtractionInput) -> Extractors:
    """Checked again here: the run's process may have other settings than the one that accepted the execution."""
    settings = load_settings()
    require_llm(settings, document.options)
    execution = session.claim.execution
    calls = RecordedCalls(
        session.database,
        execution.id,
        execution.organization_id,
        language_model(settings),
        document.options,
        recalls=settings.llm_cache,
    )
    return llm_extractors(calls, examples_of(document))
