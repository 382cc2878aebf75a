"""Types for candidates: what the text calls them, what their name ends in, and what the recognizer labelled them."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from beep_orchestration.extraction.demonyms import COUNTRIES
from beep_orchestration.extraction.labels import DATES, NUMBERS, PERSON
from beep_orchestration.extraction.local.context import concepts_by_use, phrases_for, surroundings
from beep_orchestration.extraction.local.language_model import identity
from beep_orchestration.extraction.local.type_words import (
    AMBIGUOUS,
    CONCEPT_OF_LABEL,
    LABEL_WORDS,
    WORD_LABELS,
    singular,
)
from beep_orchestration.extraction.model import Candidate, Entity
from beep_orchestration.extraction.names import clean_name, is_calendar_date
from beep_orchestration.extraction.ontology import THING, Ontology


class LocalEntityClassifier:
    """`EntityClassifier` by rules; needs no model."""

    @property
    def identity(self) -> str:
        """Model, its version and the digest of the rules; loads nothing."""
        return identity("local-entities")

    def classify_entities(self, text: str, candidates: Sequence[Candidate], ontology: Ontology) -> list[Entity]:
        """As the protocol says; a number or 'two years later' has no type."""
        classes = _ClassIndex(ontology)
        found = ((candidate, _type_of(text, candidate, classes)) for candidate in candidates)
        return [entity(candidate, *typed) for candidate, typed in found if typed is not None]


class _ClassIndex:
    """The ontology's classes by their labels, and by the coarse type that they can stand for."""

    def __init__(self, ontology: Ontology) -> None:
        self._by_label: dict[str, str] = {}
        for found in sorted(ontology.classes, key=lambda known: (len(known.name), known.name), reverse=True):
            for label in found.labels:
                self._by_label[label.casefold().strip()] = found.name
        self._by_concept = {concept: self._find(words) for concept, words in LABEL_WORDS.items()}

    def _find(self, words: Sequence[str]) -> str | None:
        """The class called by one of the words, the first word first; else one whose label ends in such a word."""
        exact = next((self._by_label[word] for word in words if word in self._by_label), None)
        if exact is not None:
            return exact
        shortest_first = sorted(self._by_label, key=lambda label: (len(label), label))
        ending = (label for word in words for label in shortest_first if label.endswith(" " + word))
        found = next(ending, None)
        return self._by_label[found] if found else None

    def of_concept(self, concept: str) -> str | None:
        return self._by_concept.get(concept)

    def of_phrase(self, phrase: str) -> str | None:
        """The class that a noun phrase ends in ('a silent film' -> film), else that of its last word's coarse type."""
        words = phrase.casefold().split()
        words[-1:] = [singular(word) for word in words[-1:]]
        for length in range(min(3, len(words)), 0, -1):
            label = " ".join(words[-length:])
            if label in self._by_label:
                return self._by_label[label]
        return self.of_concept(WORD_LABELS.get(words[-1], "")) if words else None


_FULL_NAME = re.compile(r"[A-Z][a-z]+ (?:[A-Z]\. )+[A-Z][\w'’-]+(?: Jr\.?)?")  # Thomas J. Watson
_MOST_MENTIONS = 20  # enough to know a thing by; keeps the time of a much-named one bounded
_NAME_WEIGHT, _PHRASE_WEIGHT, _USE_WEIGHT, _MOST_LABEL_WEIGHT = 6.0, 3.0, 2.0, 4.0


def entity(candidate: Candidate, type_name: str, confidence: float) -> Entity:
    """The candidate, typed."""
    return Entity(
        id=candidate.key,
        name=candidate.name,
        type=type_name,
        aliases=candidate.aliases,
        mentions=candidate.mentions,
        confidence=confidence,
    )


def named_after_its_country(candidate: Candidate, kind: str) -> Candidate:
    """'Japanese' is Japan where a place is meant; it remains an alias."""
    country = COUNTRIES.get(candidate.name)
    if country is None or WORD_LABELS.get(kind.casefold().split()[-1]) != "GPE":
        return candidate
    aliases = tuple(sorted({candidate.name, *candidate.aliases} - {country}))
    return candidate.model_copy(update={"name": country, "aliases": aliases})


def _type_of(text: str, candidate: Candidate, classes: _ClassIndex) -> tuple[str, float] | None:
    """A class and how sure it is; None for what is no thing (a number, 'two years later')."""
    labels = Counter(mention.label for mention in candidate.mentions)
    main = min(labels, key=lambda label: (-labels[label], label))
    if main in NUMBERS or (main in DATES and not is_calendar_date(candidate.name)):
        return None
    if main in DATES:
        return classes.of_concept("DATE") or THING, 0.9
    if main == "NORP" and candidate.name in COUNTRIES and (people := classes.of_concept("NORP")):
        return people, 0.9
    scores = _scores(text, candidate, _labels_of_whole_name(candidate, labels), classes)
    if not scores:
        return THING, 0.5
    best = min(scores, key=lambda name: (-scores[name], name))
    return best, round(0.5 + 0.5 * scores[best] / (sum(scores.values()) + 1), 2)


def _labels_of_whole_name(candidate: Candidate, labels: Counter[str]) -> Counter[str]:
    """Those of all mentions, but of a person's only: a surname by itself is often taken for something else."""
    whole = {mention.label for mention in candidate.mentions if clean_name(mention.text) == candidate.name}
    is_person = whole == {PERSON} and " " in candidate.name
    return Counter({PERSON: labels.total()}) if is_person else labels


def _scores(text: str, candidate: Candidate, labels: Counter[str], classes: _ClassIndex) -> dict[str, float]:
    """By class; dates are told by their label only, for 'in the same year Ada' says nothing of Ada."""
    scores: dict[str, float] = defaultdict(float)
    weight = min(labels.total(), _MOST_LABEL_WEIGHT) / labels.total()
    for label, count in labels.items():
        _add(scores, classes.of_concept(CONCEPT_OF_LABEL.get(label, label)), count * weight)
    _add(scores, classes.of_phrase(_telling_word(candidate.name, labels)), _NAME_WEIGHT)
    if _FULL_NAME.fullmatch(candidate.name):
        _add(scores, classes.of_concept("PERSON"), _NAME_WEIGHT)
    for mention in candidate.mentions[:_MOST_MENTIONS]:
        before, after = surroundings(text, mention)
        for phrase in phrases_for(before, after):
            _add(scores, classes.of_phrase(phrase), _PHRASE_WEIGHT)
        for concept in concepts_by_use(before, after):
            _add(scores, classes.of_concept(concept), _USE_WEIGHT)
    scores.pop(classes.of_concept("DATE") or "", None)
    return scores


def _add(scores: dict[str, float], name: str | None, weight: float) -> None:
    if name is not None:
        scores[name] += weight


def _telling_word(name: str, labels: Counter[str]) -> str:
    """What the name itself says: 'University' of 'University of Manchester', 'Prize' of 'Nobel Prize'."""
    words = re.split(r" (?:of|for|on|in|at) ", name)[0].split()
    word = words[-1].strip(".,").casefold() if words else ""
    is_title = "WORK_OF_ART" in labels and WORD_LABELS.get(word) not in ("AWARD", "EVENT")
    decides_nothing = word in AMBIGUOUS or WORD_LABELS.get(word) == "PERSON" or singular(word) != word or is_title
    return "" if len(name.split()) == 1 or decides_nothing else word
