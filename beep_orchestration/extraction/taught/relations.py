"""Facts that a chunk states: what the examples taught to see between two names, and what the ontology's phrases say.

Domain and range hold, and what a sentence denies, asks or supposes is no fact.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from typing import TYPE_CHECKING

from beep_orchestration.extraction.local.factuality import is_asserted, is_question
from beep_orchestration.extraction.local.language_model import identity
from beep_orchestration.extraction.local.phrases import PhraseIndex
from beep_orchestration.extraction.local.relations import (
    NamedPlace,
    ReadSentence,
    by_phrases,
    relations_by_sentence,
)
from beep_orchestration.extraction.model import Chunk, Entity, Relation
from beep_orchestration.extraction.ontology import Ontology, OntologyRelation
from beep_orchestration.extraction.taught.learning import Learned, Pupil, class_or_label
from beep_orchestration.extraction.taught.pairs import TypedSpan

if TYPE_CHECKING:
    from spacy.tokens import Token

_MOST_NAMES_APART = 12
_MOST_SURE = 0.95


class TaughtRelationExtractor:
    """`RelationExtractor` that has learned from examples."""

    def __init__(self, pupil: Pupil) -> None:
        self._pupil = pupil

    @property
    def identity(self) -> str:
        """Model, rules and the digest of the examples; loads and learns nothing."""
        return identity("taught-relations", "taught") + f" examples-{self._pupil.digest[:12]}"

    def extract_relations(
        self, text: str, chunk: Chunk, entities: Sequence[Entity], ontology: Ontology
    ) -> list[Relation]:
        """As the protocol says."""
        learned = self._pupil.learned(ontology)
        relations = {relation.name: relation for relation in ontology.relations}
        phrases = PhraseIndex(ontology)

        def find(sentence: ReadSentence) -> Iterator[Relation]:
            yield from by_phrases(sentence, phrases)
            yield from _by_examples(sentence, learned, relations)

        return relations_by_sentence(text, chunk, entities, find)


def _by_examples(
    sentence: ReadSentence, learned: Learned, relations: Mapping[str, OntologyRelation]
) -> Iterator[Relation]:
    if is_question(sentence.words):
        return
    pairs = list(_pairs(sentence, learned.ontology))
    doc = sentence.words.doc
    for index, name, confidence in learned.stated(doc, [(first[1], second[1]) for first, second in pairs]):
        (subject, _), (target, words) = pairs[index]
        if learned.ontology.allows(relations[name], subject.type, target.type) and _is_stated(doc[words.start]):
            yield Relation(
                subject=subject.id,
                predicate=name,
                object=target.id,
                confidence=round(min(confidence, _MOST_SURE), 2),
                evidence=(sentence.evidence,),
            )


def _pairs(
    sentence: ReadSentence, ontology: Ontology
) -> Iterator[tuple[tuple[Entity, TypedSpan], tuple[Entity, TypedSpan]]]:
    placed = [(place.entity, words) for place in sentence.named if (words := _words(sentence, place, ontology))]
    for (i, first), (j, second) in permutations(enumerate(placed), 2):
        if abs(i - j) <= _MOST_NAMES_APART and first[0].id != second[0].id:
            yield first, second


def _words(sentence: ReadSentence, place: NamedPlace, ontology: Ontology) -> TypedSpan | None:
    words = sentence.words.doc.char_span(place.start, place.end, alignment_mode="expand")
    if words is None:
        return None
    kind = class_or_label(ontology, place.entity.type, place.entity.mentions[0].label)
    return TypedSpan(words.start, words.end, kind)


def _is_stated(token: "Token") -> bool:
    """Whether the nearest verb over the word is meant as a fact."""
    while token.pos_ not in ("VERB", "AUX"):
        if token.head.i == token.i:
            return True
        token = token.head
    return is_asserted(token)
