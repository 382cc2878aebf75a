"""The local extractor, taught by examples: sentences with the triples that they state.

Reading order: `spans` and `pairs` (what is looked at), `lessons` (what an example says of these),
`classifiers` and `learning` (two small linear models), `shelf` (where they are kept), then the extractors: `mentions`,
`entities`, `relations`.
"""

from collections.abc import Sequence
from pathlib import Path

from beep_orchestration.extraction.model import Example
from beep_orchestration.extraction.protocols import Extractors
from beep_orchestration.extraction.taught.entities import TaughtEntityClassifier
from beep_orchestration.extraction.taught.learning import Pupil
from beep_orchestration.extraction.taught.mentions import TaughtMentionExtractor
from beep_orchestration.extraction.taught.relations import TaughtRelationExtractor
from beep_orchestration.extraction.taught.shelf import Shelf


def taught_extractors(examples: Sequence[Example], shelf: Path | None = None) -> Extractors:
    """Extractors that have learned from these examples. They learn when first asked to extract, once per process.

    With a folder as shelf once for all processes, as long as examples, ontology, model and rules are the same.
    """
    pupil = Pupil(examples, None if shelf is None else Shelf(shelf))
    return Extractors(TaughtMentionExtractor(pupil), TaughtEntityClassifier(pupil), TaughtRelationExtractor(pupil))
