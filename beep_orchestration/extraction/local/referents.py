"""Which entity a word of a sentence refers to: a name, a pronoun, 'the company', or a noun beside a name.

Pronouns and definite nouns refer to the last fitting subject, after the centering rules of Grosz, Joshi and Weinstein,
"Centering" (1995): the next sentence goes on about the subject. Where two fit, or none lately, nothing is guessed.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from beep_orchestration.extraction.local.type_words import CONCEPT_OF_LABEL, WORD_LABELS
from beep_orchestration.extraction.local.word_lists import words
from beep_orchestration.extraction.model import Entity

if TYPE_CHECKING:
    from spacy.tokens import Span, Token

_MASCULINE = frozenset(("he", "him", "his", "himself"))
_FEMININE = frozenset(("she", "her", "hers", "herself"))
_NEUTER = frozenset(("it", "its", "itself"))
_DEFINITE_NOUNS = frozenset(
    words(
        "company firm corporation university college institute laboratory agency machine computer calculator language"
    )
)
_PRONOUN_CERTAINTY, _NOUN_CERTAINTY = 0.75, 0.65
_REACH = 3  # sentences back
_DEEPEST = 4


class Referent(NamedTuple):
    """An entity, and how surely it is meant."""

    entity: Entity
    certainty: float


class Referents:
    """Reads sentences in their order, remembering what they are about."""

    def __init__(self) -> None:
        self._names: Mapping[int, Entity] = {}
        self._sentence: list[Token] = []
        self._recent: list[list[Entity]] = []
        self._genders: dict[str, frozenset[str]] = {}

    def enter(self, names: Mapping[int, Entity]) -> None:
        """Begin a block whose token indices stand for these entities."""
        self._names = names

    def read(self, sentence: "Span") -> None:
        """Begin a sentence of the block."""
        self._sentence = list(sentence)

    def leave(self) -> None:
        """Remember whom the sentence was about: its subjects, else, unless they are unclear, its only person."""
        main = [token for token in self._sentence if _is_main_subject(token)]
        subjects = [found.entity for token in main for found in self.of(token)]
        present = {found.id: found for token in self._sentence if (found := self._names.get(token.i))}
        people = [entity for entity in present.values() if concept_of(entity) == "PERSON"]
        is_unclear = any(token.pos_ == "PRON" for token in main)
        self._recent.append(subjects or (people if len(people) == 1 and not is_unclear else []))
        del self._recent[:-_REACH]

    def same_name(self, first: "Token", second: "Token") -> bool:
        """Whether both words belong to mentions of one entity."""
        name = self._names.get(first.i)
        return name is not None and name is self._names.get(second.i)

    def of(self, token: "Token") -> list[Referent]:
        """All that a word and those listed after it refer to; empty where that is not clear."""
        listed = (other for other in (*token.conjuncts, *_apposed_list(token)) if other.i > token.i)
        return self.of_one(token) + [found for other in listed for found in self._of_one(other, 1)]

    def of_one(self, token: "Token") -> list[Referent]:
        """What the word itself refers to."""
        return self._of_one(token, 0)

    def _of_one(self, token: "Token", depth: int) -> list[Referent]:
        name = self._names.get(token.i)
        if name is not None:
            return [Referent(name, 1.0)]
        if depth > _DEEPEST:
            return []
        if token.tag_ in ("WP", "WDT", "WP$"):
            antecedent = _antecedent(token)
            return self._of_one(antecedent, depth + 1) if antecedent is not None else []
        if token.pos_ == "PRON":
            return self._of_pronoun(token)
        return self._of_noun(token, depth) if token.pos_ in ("NOUN", "PROPN") else []

    def _of_pronoun(self, token: "Token") -> list[Referent]:
        word = token.lower_
        if word in _NEUTER and token.dep_ in ("nsubj", "nsubjpass", "poss"):
            return self._last(token, lambda entity: concept_of(entity) not in ("PERSON", "DATE", "NORP", "GPE"), 1)
        gender = _MASCULINE if word in _MASCULINE else _FEMININE if word in _FEMININE else None
        if gender is None:
            return []
        found = self._last(
            token,
            lambda entity: concept_of(entity) == "PERSON" and self._genders.get(entity.id, gender) == gender,
            _REACH,
        )
        for referent in found:
            self._genders[referent.entity.id] = gender
        return found

    def _of_noun(self, token: "Token", depth: int) -> list[Referent]:
        concept = WORD_LABELS.get(token.lemma_.lower())
        for child in token.children:
            name = self._names.get(child.i)
            if name is None:
                continue
            if child.dep_ == "appos" and token.tag_ not in ("NNS", "NNPS"):
                return [Referent(name, 0.95)]
            if child.dep_ in ("compound", "nmod", "amod") and concept is not None and concept_of(name) == concept:
                return [Referent(name, 0.9)]
        if token.dep_ == "appos":
            return self._of_one(token.head, depth + 1)
        if token.dep_ == "attr":
            return [
                found
                for child in token.head.children
                if child.dep_ == "nsubj"
                for found in self._of_one(child, depth + 1)
            ]
        if token.lemma_.lower() in _DEFINITE_NOUNS and _is_definite(token):
            return self._last(token, lambda entity: concept_of(entity) == concept, 2, _NOUN_CERTAINTY)
        return []

    def _last(
        self, token: "Token", fits: Callable[[Entity], bool], reach: int, certainty: float = _PRONOUN_CERTAINTY
    ) -> list[Referent]:
        """The one fitting entity that the sentence so far, or else the last one with any, was about."""
        for about in (self._earlier_names(token), *reversed(self._recent[-reach:])):
            fitting = {entity.id: entity for entity in about if fits(entity)}
            if fitting:
                return [Referent(entity, certainty) for entity in fitting.values()] if len(fitting) == 1 else []
        return []

    def _earlier_names(self, token: "Token") -> list[Entity]:
        """Names before this word in its sentence: the last that is a subject, else all.

        'Obama awarded her a medal': an object is never its own verb's subject.
        """
        clause = None if token.dep_ in ("nsubj", "nsubjpass", "poss") else _verb_over(token)
        earlier = [word for word in self._sentence if word.i < token.i and word.i in self._names]
        subjects = [word for word in earlier if word.dep_ in ("nsubj", "nsubjpass")]
        own = {self._names[word.i].id for word in subjects if word.head == clause}
        names = [self._names[word.i] for word in subjects[-1:]] or [self._names[word.i] for word in earlier]
        return [name for name in names if name.id not in own]


def concept_of(entity: Entity) -> str:
    """The coarse type of an entity: what its class is called, else what most of its mentions are labelled."""
    words = entity.type.casefold().split()
    concept = WORD_LABELS.get(words[-1]) if words else None
    if concept is not None:
        return concept
    label = Counter(mention.label for mention in entity.mentions).most_common(1)[0][0]
    return CONCEPT_OF_LABEL.get(label, label)


def _is_main_subject(token: "Token") -> bool:
    return token.dep_ in ("nsubj", "nsubjpass") and token.head.dep_ in ("ROOT", "conj")


def _apposed_list(token: "Token") -> "Iterator[Token]":
    """'Bardeen, Brattain and Shockley' is often parsed as Bardeen being Brattain and Shockley."""
    for child in token.children:
        if child.dep_ == "appos" and child.pos_ == "PROPN" and any(word.dep_ == "cc" for word in child.children):
            yield child
            yield from child.conjuncts


def _antecedent(pronoun: "Token") -> "Token | None":
    for ancestor in _upwards(pronoun):
        if ancestor.dep_ == "relcl":
            return ancestor.head
    return None


def _upwards(token: "Token") -> "Iterator[Token]":
    while token.head.i != token.i:
        token = token.head
        yield token


def _verb_over(token: "Token") -> "Token | None":
    return next((ancestor for ancestor in _upwards(token) if ancestor.pos_ in ("VERB", "AUX")), None)


def _is_definite(noun: "Token") -> bool:
    """'the company', 'this machine', with nothing that says which."""
    words = [child for child in noun.children if child.dep_ != "punct"]
    return len(words) == 1 and words[0].lower_ in ("the", "this")
