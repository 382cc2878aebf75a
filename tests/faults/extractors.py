"""Extractors that are quick and always answer alike: names are capitalised words, facts join neighbours.

They stand in for the local model where a test is about what surrounds an activity and runs thousands of them.
"""

import re
import time
import zlib
from collections.abc import Sequence
from itertools import pairwise

from beep_orchestration.extraction import Extractors
from beep_orchestration.extraction.model import Candidate, Chunk, Entity, Mention, Relation, Span
from beep_orchestration.extraction.ontology import Ontology

_NAME = re.compile(r"[A-Z][a-z]+(?: [A-Z][a-z]+)*")
_LABELS = ("PERSON", "ORG", "GPE")


class QuickExtractor:
    """All three kinds in one; an answer takes `pace` seconds, in which a fault may hit."""

    identity = "quick-1"

    def __init__(self, pace: float) -> None:
        self._pace = pace

    def extract_mentions(self, text: str, chunk: Chunk, _: Ontology) -> list[Mention]:
        """Capitalised words, with a label that follows from the name."""
        time.sleep(self._pace)
        return [
            Mention(
                start=found.start(),
                end=found.end(),
                text=found.group(),
                label=_LABELS[_number(found.group()) % len(_LABELS)],
                confidence=0.9,
            )
            for found in _NAME.finditer(text, chunk.start, chunk.end)
        ]

    def classify_entities(self, _: str, candidates: Sequence[Candidate], ontology: Ontology) -> list[Entity]:
        """A class that follows from the name."""
        time.sleep(self._pace)
        classes = [found.name for found in ontology.classes]
        return [
            Entity(
                id=candidate.key,
                name=candidate.name,
                type=classes[_number(candidate.name) % len(classes)],
                aliases=candidate.aliases,
                mentions=candidate.mentions,
                confidence=0.8,
            )
            for candidate in candidates
        ]

    def extract_relations(self, _: str, chunk: Chunk, entities: Sequence[Entity], ontology: Ontology) -> list[Relation]:
        """Each entity is related to the next one of its chunk."""
        time.sleep(self._pace)
        relations = [found.name for found in ontology.relations]
        return [
            Relation(
                subject=one.id,
                predicate=relations[_number(one.name + other.name) % len(relations)],
                object=other.id,
                confidence=0.7,
                evidence=(Span(start=chunk.start, end=chunk.end),),
            )
            for one, other in pairwise(entities)
        ]


def quick_extractors(pace: float = 0.0) -> Extractors:
    """One for each kind."""
    quick = QuickExtractor(pace)
    return Extractors(quick, quick, quick)


def _number(name: str) -> int:
    return zlib.crc32(name.encode())
