"""The ontology's phrases, ready to be looked up: which relations a phrase may state, and which way round."""

from collections import defaultdict
from typing import NamedTuple

from beep_orchestration.extraction.local.word_lists import words
from beep_orchestration.extraction.ontology import Ontology, OntologyRelation

_AUXILIARIES = frozenset(words("be is are was were been being has have had the a an"))
_PREPOSITIONS = frozenset(
    words("of in on at by for from to with into under as near about after against during through than alongside over")
)


class Reading(NamedTuple):
    """A relation that a phrase may state; `inverse` if the phrase leads from its object to its subject."""

    relation: OntologyRelation
    inverse: bool


class PhraseIndex:
    """Finds the relations that a phrase can state between entities of two types."""

    def __init__(self, ontology: Ontology) -> None:
        self._ontology = ontology
        self._readings: dict[str, list[Reading]] = defaultdict(list)
        for relation in ontology.relations:
            self._add_all(relation)

    def find(self, phrase: str, first_type: str, second_type: str) -> Reading | None:
        """The reading whose domain and range admit the types; the first by the relation's name if several do."""
        return next(
            (found for found in self._readings.get(phrase, ()) if self._admits(found, first_type, second_type)), None
        )

    def _admits(self, reading: Reading, first_type: str, second_type: str) -> bool:
        types = (second_type, first_type) if reading.inverse else (first_type, second_type)
        return self._ontology.allows(reading.relation, *types)

    def _add_all(self, relation: OntologyRelation) -> None:
        for phrase in map(_normal, relation.phrases):
            self._add(phrase, Reading(relation, inverse=False))
        name = _normal(relation.name)
        if name.split()[-1] not in _PREPOSITIONS:
            # A noun ('director'): the object is the subject's director, and directs it.
            for phrase in (f"{name} of", *_verbs_of(name)):
                self._add(phrase, Reading(relation, inverse=True))
        for phrase in map(_normal, relation.inverse_phrases):
            self._add(phrase, Reading(relation, inverse=True))

    def _add(self, phrase: str, reading: Reading) -> None:
        if phrase and reading not in self._readings[phrase]:
            self._readings[phrase].append(reading)


def _verbs_of(noun: str) -> tuple[str, ...]:
    """What someone so called does: 'direct' for 'director', 'compose' for 'composer'; what is no verb does no harm."""
    return (noun[:-2], noun[:-1]) if noun.endswith(("er", "or")) and " " not in noun else ()


def _normal(phrase: str) -> str:
    words = phrase.casefold().split()
    return " ".join(word for position, word in enumerate(words) if position > 0 or word not in _AUXILIARIES) or phrase
