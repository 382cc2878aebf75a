"""The local extractor, taught by examples: sentences with the triples that they state.

Reading order: `spans` and `pairs` (what is looked at), `lessons` (what an example says of these),
`learning` (two small linear models), then the extractors: `mentions`, `entities`, `relations`.
"""

from collections.abc import Sequence

from beep_orchestration.extraction.model import Example
from beep_orchestration.extraction.protocols import Extractors
from beep_orchestration.extraction.taught.entities import TaughtEntityClassifier
from beep_orchestration.extraction.taught.learning import Pupil
from beep_orchestration.extraction.taught.mentions import TaughtMentionExtractor
from beep_orchestration.extraction.taught.relations import TaughtRelationExtractor


def taught_extractors(examples: Sequence[Example]) -> Extractors:
    """Extractors that have learned from these examples. They learn when first asked to extract, once per process."""
    pupil = Pupil(examples)
    return Extractors(TaughtMentionExtractor(pupil), TaughtEntityClassifier(pupil), TaughtRelationExtractor(pupil))
