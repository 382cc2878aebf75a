"""The extractor that asks a language model, and believes only what stands in the text and fits the ontology."""

from collections.abc import Sequence

from beep_orchestration.extraction.llm.calls import Calls
from beep_orchestration.extraction.llm.entities import LlmEntityClassifier
from beep_orchestration.extraction.llm.few_shot import Examples
from beep_orchestration.extraction.llm.mentions import LlmMentionExtractor
from beep_orchestration.extraction.llm.relations import LlmRelationExtractor
from beep_orchestration.extraction.model import Example
from beep_orchestration.extraction.protocols import Extractors
from beep_orchestration.models import RetryPolicy

_PATIENT = RetryPolicy(maximum_attempts=6, first_delay=2.0, maximum_delay=60.0)
"""Providers are busy now and then, and a call that is refused costs nothing."""


def llm_extractors(calls: Calls, examples: Sequence[Example] = ()) -> Extractors:
    """Mentions, types and relations by the language model that `calls` asks; the examples are shown to it."""
    shown = Examples(examples)
    return Extractors(
        LlmMentionExtractor(calls, shown), LlmEntityClassifier(calls), LlmRelationExtractor(calls, shown), _PATIENT
    )
