"""What an extractor has to offer: three protocols, so that a model behind an API can stand beside the local one.

Every method is a pure function of its arguments and of `identity`: the same input gives the same answer, which is what
makes an activity's checkpoint reusable. `text` is the whole document; what is read of it is the chunk, or the sentences
around the mentions. Methods may be called from several threads at once. They may raise what their provider raises.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from beep_orchestration.extraction.model import Candidate, Chunk, Entity, Mention, Relation
from beep_orchestration.extraction.ontology import Ontology
from beep_orchestration.models import RetryPolicy


class MentionExtractor(Protocol):
    """Finds the names in a chunk."""

    @property
    def identity(self) -> str:
        """Name, space, version. Changes whenever an answer could: model, its version, digest of rules or prompts."""
        ...

    def extract_mentions(self, text: str, chunk: Chunk, ontology: Ontology) -> list[Mention]:
        """Mentions inside the chunk, ordered and disjoint; `text[m.start:m.end] == m.text`."""
        ...


class EntityClassifier(Protocol):
    """Gives each candidate a type of the ontology."""

    @property
    def identity(self) -> str:
        """As for `MentionExtractor`."""
        ...

    def classify_entities(self, text: str, candidates: Sequence[Candidate], ontology: Ontology) -> list[Entity]:
        """One entity for each candidate that has a type, in their order; `Entity.id` is `Candidate.key`."""
        ...


class RelationExtractor(Protocol):
    """Finds the facts that a chunk states about the entities mentioned in it."""

    @property
    def identity(self) -> str:
        """As for `MentionExtractor`."""
        ...

    def extract_relations(
        self, text: str, chunk: Chunk, entities: Sequence[Entity], ontology: Ontology
    ) -> list[Relation]:
        """Relations inside domain and range; evidence is one sentence each, in document offsets."""
        ...


@dataclass(frozen=True, slots=True)
class Extractors:
    """One extractor for each kind of activity."""

    mentions: MentionExtractor
    entities: EntityClassifier
    relations: RelationExtractor
    retry: RetryPolicy | None = None
    """How often their activities are tried, if not as often as others of their type."""
