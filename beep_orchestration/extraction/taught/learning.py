"""Two linear models: what kind of end a span is, and which relations a pair of spans states.

Logistic regression on sparse features, as in Mintz et al., "Distant supervision for relation extraction without labeled
data" (ACL 2009). Examples never name all that their sentences state, so what is not named is no sure counterexample,
and probabilities come out low. So a confidence is a probability set in relation to the one at which taking and leaving
are even, which is far below one half: by Elkan and Noto, "Learning classifiers from only positive and unlabeled data"
(KDD 2008), and, for the sake of F1, by Lipton et al., "Optimal thresholding of classifiers to maximize F1" (2014).

The same examples and ontology give the same models: the solvers are deterministic, and work in one thread.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from itertools import permutations
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from beep_orchestration.digests import canonical_digest
from beep_orchestration.extraction.chunking import chunk_text
from beep_orchestration.extraction.labels import UNKNOWN
from beep_orchestration.extraction.local.language_model import Analysis, identity, read
from beep_orchestration.extraction.local.mentions import recognized
from beep_orchestration.extraction.local.name_spans import Named
from beep_orchestration.extraction.model import Example, ExtractionOptions
from beep_orchestration.extraction.ontology import Ontology
from beep_orchestration.extraction.prose import Block, blocks
from beep_orchestration.extraction.taught.classifiers import Classifier
from beep_orchestration.extraction.taught.lessons import NOTHING, Lesson, lesson
from beep_orchestration.extraction.taught.pairs import TypedSpan, features_of_pair
from beep_orchestration.extraction.taught.shelf import Shelf
from beep_orchestration.extraction.taught.spans import (
    OPENING,
    PHRASE,
    RUN,
    WordSpan,
    candidate_spans,
    features_of_span,
)

if TYPE_CHECKING:
    from spacy.tokens import Doc

_EVEN_SPAN, _EVEN_PAIR = 0.07, 0.07
"""Probabilities at which taking and leaving are even; what is reported there is a confidence of one half."""
_MOST_KEPT = 4
_EVEN = 0.5
_WHOLE = ExtractionOptions(chunk_size=100_000, chunk_overlap=0)


class Judgement(NamedTuple):
    """What the model makes of a span: how surely it is an end of a relation, and of which kind if so."""

    span: WordSpan
    confidence: float
    kind: str


@dataclass(frozen=True)
class Learned:
    """What was learned from examples under an ontology. Methods may be called from several threads at once."""

    ontology: Ontology
    spans: Classifier | None
    pairs: Classifier | None = None

    def judge(self, doc: "Doc", spans: Sequence[WordSpan]) -> list[Judgement]:
        """One judgement for each span, in their order."""
        if self.spans is None or not spans:
            return [Judgement(span, 0.0, NOTHING) for span in spans]
        nothing = self.spans.classes.index(NOTHING)
        table = self.spans.probabilities([list(features_of_span(doc, span)) for span in spans])
        confidences = [_confidence(1 - row[nothing], _EVEN_SPAN) for row in table]
        table[:, nothing] = 0
        kinds = [self.spans.classes[place] for place in table.argmax(axis=1)]
        return [Judgement(*found) for found in zip(spans, confidences, kinds, strict=True)]

    def ends(self, doc: "Doc", names: Iterable[Named]) -> list[Judgement]:
        """The spans that are more likely ends of relations than not: the surest of those that overlap."""
        kept: list[Judgement] = []
        taken: set[int] = set()
        judged = self.judge(doc, candidate_spans(doc, names))
        for found in sorted(judged, key=lambda known: (-known.confidence, known.span)):
            words = range(found.span.start, found.span.end)
            if found.confidence >= _EVEN and taken.isdisjoint(words):
                taken.update(words)
                kept.append(found)
        return sorted(kept)

    def stated(self, doc: "Doc", pairs: Sequence[tuple[TypedSpan, TypedSpan]]) -> Iterator[tuple[int, str, float]]:
        """The pairs, by their place, that state a relation of the ontology more likely than not, and how surely."""
        if self.pairs is None or not pairs:
            return
        table = self.pairs.probabilities([list(features_of_pair(doc, *pair)) for pair in pairs])
        for row, column in zip(*(table >= _EVEN_PAIR).nonzero(), strict=True):
            yield int(row), self.pairs.classes[column], _confidence(table[row, column], _EVEN_PAIR)


class Pupil:
    """Examples, and what is learned from them when it is first needed. The last few things learned are kept."""

    _kept: ClassVar[OrderedDict[str, Learned]] = OrderedDict()
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, examples: Sequence[Example], shelf: Shelf | None = None) -> None:
        self._examples = tuple(examples)
        self._shelf = shelf
        self.digest = canonical_digest([example.model_dump(mode="json") for example in self._examples])

    def learned(self, ontology: Ontology) -> Learned:
        """The models; takes some twenty seconds for a thousand examples, and nothing the next time.

        With a shelf, the next time may be in another process.
        """
        key = f"{self.digest} {ontology.digest}"
        with self._lock:
            if key not in self._kept:
                self._kept[key] = self._recalled_or_learned(key, ontology)
            self._kept.move_to_end(key)
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
            return self._kept[key]

    def _recalled_or_learned(self, key: str, ontology: Ontology) -> Learned:
        if self._shelf is None:
            return _learn(self._examples, ontology)
        known_by = f"{key} {identity('learned', 'taught')} scikit-learn-{metadata.version('scikit-learn')}"
        recalled = self._shelf.find(known_by)
        if recalled is not None:
            return Learned(ontology, recalled["spans"], recalled["pairs"])
        learned = _learn(self._examples, ontology)
        self._shelf.put(known_by, {"spans": learned.spans, "pairs": learned.pairs})
        return learned


def class_or_label(ontology: Ontology, kind: str, label: str) -> str:
    """What a span is said to be where pairs are looked at: its class, else what the recognizer calls it."""
    if any(found.name == kind for found in ontology.classes):
        return kind
    return UNKNOWN if label in (RUN, OPENING, PHRASE) else label


def _learn(examples: Sequence[Example], ontology: Ontology) -> Learned:
    sentences = [(example, block.text) for example in examples for block in _blocks(example.text)]

    def learned_from(docs: "Sequence[Doc]") -> Learned:
        names = [recognized([doc])[0] for doc in docs]
        spans = [candidate_spans(doc, found) for doc, found in zip(docs, names, strict=True)]
        lessons = [
            lesson(doc, found, example, ontology)
            for doc, found, (example, _) in zip(docs, spans, sentences, strict=True)
        ]
        learned = Learned(ontology, _learn_spans(docs, spans, lessons))
        return replace(learned, pairs=_learn_pairs(learned, docs, names, lessons))

    return read(Analysis.EVERYTHING, (text for _, text in sentences), learned_from)


def _blocks(text: str) -> Iterator[Block]:
    return (block for chunk in chunk_text(text, _WHOLE) for block in blocks(text, chunk))


def _learn_spans(
    docs: Sequence["Doc"], spans: Sequence[Sequence[WordSpan]], lessons: Sequence[Lesson]
) -> Classifier | None:
    features: list[list[str]] = []
    kinds: list[str] = []
    for doc, found, given in zip(docs, spans, lessons, strict=True):
        features += [list(features_of_span(doc, span)) for span in found]
        kinds += [given.classes.get(span, NOTHING) for span in found]
    return Classifier.of_kinds(features, kinds) if set(kinds) - {NOTHING} else None


def _learn_pairs(
    learned: Learned, docs: Sequence["Doc"], names: Sequence[Sequence[Named]], lessons: Sequence[Lesson]
) -> Classifier | None:
    features: list[list[str]] = []
    stated: list[frozenset[str]] = []
    for doc, found, given in zip(docs, names, lessons, strict=True):
        for first, second in permutations(_ends_to_learn_from(learned, doc, found, given), 2):
            features.append(list(features_of_pair(doc, first[1], second[1])))
            stated.append(given.relations.get((first[0], second[0]), frozenset()))
    return Classifier.of_relations(features, stated) if any(stated) else None


def _ends_to_learn_from(
    learned: Learned, doc: "Doc", names: Sequence[Named], given: Lesson
) -> list[tuple[WordSpan, TypedSpan]]:
    """The ends that the model finds, with those that the example names and the model does not find."""
    kinds = {found.span: found.kind for found in learned.ends(doc, names)}
    taken = {word for span in kinds for word in range(span.start, span.end)}
    missed = {span: kind for span, kind in given.classes.items() if taken.isdisjoint(range(span.start, span.end))}
    return [
        (span, TypedSpan(span.start, span.end, class_or_label(learned.ontology, kind, span.label)))
        for span, kind in (kinds | missed).items()
    ]


def _confidence(probability: float, even: float) -> float:
    """One half where taking and leaving are even."""
    return probability / (probability + even)
