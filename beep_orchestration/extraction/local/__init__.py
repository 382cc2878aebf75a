"""The extractor that needs no network: spaCy's small English model, and rules that the ontology's phrases drive."""

from beep_orchestration.extraction.local.entities import LocalEntityClassifier
from beep_orchestration.extraction.local.mentions import LocalMentionExtractor
from beep_orchestration.extraction.local.relations import LocalRelationExtractor
from beep_orchestration.extraction.protocols import Extractors


def local_extractors() -> Extractors:
    """Mentions, types and relations by the local model, which is loaded when the first of them needs it."""
    return Extractors(LocalMentionExtractor(), LocalEntityClassifier(), LocalRelationExtractor())
