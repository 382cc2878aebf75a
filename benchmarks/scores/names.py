"""Names on Re-DocRED: mentions by their exact span, entities by exactly their mentions; untyped and typed.

An entity is right if its mentions are those of a gold entity, none missing and none too many, as JEREX counts it
(Eberts and Ulges, "An End-to-end Model for Entity-level Relation Extraction using Multi-instance Learning", EACL 2021).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.scores.data import NamedDocument, NamedEntity

TYPE_OF_CLASS = {
    "Person": "PER",
    "Organization": "ORG",
    "Place": "LOC",
    "Group": "LOC",  # 'Norwegian' is a location there
    "Date": "TIME",
}
"""Classes of the built-in ontology as Re-DocRED's types; the others are MISC."""

TYPE_OF_LABEL = {
    "DATE": "TIME",
    "TIME": "TIME",
    **dict.fromkeys(("CARDINAL", "ORDINAL", "QUANTITY", "PERCENT", "MONEY"), "NUM"),
}
"""Types of what is no thing for our ontologies, and so has a label only."""


@dataclass(frozen=True)
class Agreement:
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class NameScores:
    documents: int
    mentions: Agreement
    typed_mentions: Agreement
    entities: Agreement
    typed_entities: Agreement


def score_names(gold: Sequence[NamedDocument], found: Sequence[Sequence[NamedEntity]]) -> NameScores:
    expected = [document.entities for document in gold]
    return NameScores(
        len(gold),
        mentions=_agreement(_spans(expected), _spans(found)),
        typed_mentions=_agreement(_typed_spans(expected), _typed_spans(found)),
        entities=_agreement(_clusters(expected), _clusters(found)),
        typed_entities=_agreement(_typed_clusters(expected), _typed_clusters(found)),
    )


def _agreement(gold: set[object], found: set[object]) -> Agreement:
    right = len(gold & found)
    precision = right / len(found) if found else 0.0
    recall = right / len(gold) if gold else 0.0
    return Agreement(precision, recall, 2 * precision * recall / (precision + recall) if right else 0.0)


def _spans(documents: Iterable[Sequence[NamedEntity]]) -> set[object]:
    return {(n, span) for n, entities in enumerate(documents) for entity in entities for span in entity.spans}


def _typed_spans(documents: Iterable[Sequence[NamedEntity]]) -> set[object]:
    return {
        (n, entity.type, span) for n, entities in enumerate(documents) for entity in entities for span in entity.spans
    }


def _clusters(documents: Iterable[Sequence[NamedEntity]]) -> set[object]:
    return {(n, entity.spans) for n, entities in enumerate(documents) for entity in entities}


def _typed_clusters(documents: Iterable[Sequence[NamedEntity]]) -> set[object]:
    return {(n, entity.type, entity.spans) for n, entities in enumerate(documents) for entity in entities}
