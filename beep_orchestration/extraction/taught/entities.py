"""Types for candidates: what the examples say of names in such places, else what the local extractor says."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from beep_orchestration.extraction.local.entities import LocalEntityClassifier, entity, named_after_its_country
from beep_orchestration.extraction.local.language_model import Analysis, identity, read
from beep_orchestration.extraction.local.mentions import recognized
from beep_orchestration.extraction.markup import hidden_stretches
from beep_orchestration.extraction.model import Candidate, Chunk, Entity, Mention, Span
from beep_orchestration.extraction.ontology import THING, Ontology
from beep_orchestration.extraction.prose import Block, blocks
from beep_orchestration.extraction.taught.learning import Judgement, Learned, Pupil
from beep_orchestration.extraction.taught.spans import RUN, WordSpan, candidate_spans

if TYPE_CHECKING:
    from spacy.tokens import Doc

_MOST_MENTIONS = 3  # enough to know a thing by
_WINDOW = 400
_SENTENCE_END = re.compile(r"[.!?…][\"'”’»)\]]{0,3}\s+|\n\s*\n")
_EVEN = 0.5


class TaughtEntityClassifier:
    """`EntityClassifier` that has learned from examples."""

    def __init__(self, pupil: Pupil) -> None:
        self._pupil = pupil
        self._local = LocalEntityClassifier()

    @property
    def identity(self) -> str:
        """Model, rules and the digest of the examples; loads and learns nothing."""
        return identity("taught-entities", "taught") + f" examples-{self._pupil.digest[:12]}"

    def classify_entities(self, text: str, candidates: Sequence[Candidate], ontology: Ontology) -> list[Entity]:
        """As the protocol says. What can be an end of a relation is kept, if it is a number or a plain noun too."""
        learned = self._pupil.learned(ontology)
        classes = {found.name for found in ontology.classes}
        local = {found.id: found for found in self._local.classify_entities(text, candidates, ontology)}
        judgements = _judgements(text, candidates, learned)
        typed = (_typed(found, local.get(found.key), judgements.get(found.key, []), classes) for found in candidates)
        return [found for found in typed if found is not None]


def _typed(
    candidate: Candidate, local: Entity | None, judgements: Sequence[Judgement], classes: set[str]
) -> Entity | None:
    weights: dict[str, float] = defaultdict(float)
    for found in judgements:
        weights[found.kind] += found.confidence
    if not judgements or sum(weights.values()) / len(judgements) < _EVEN:
        return local
    kind = min(weights, key=lambda name: (-weights[name], name))
    if kind not in classes:
        return local or entity(candidate, THING, _EVEN)
    return entity(named_after_its_country(candidate, kind), kind, round(weights[kind] / len(judgements), 2))


def _judgements(text: str, candidates: Sequence[Candidate], learned: Learned) -> dict[str, list[Judgement]]:
    """What the model makes of the first few mentions of each candidate, by its key."""
    by_window: dict[tuple[int, int], list[tuple[str, Mention]]] = defaultdict(list)
    for candidate in candidates:
        for mention in candidate.mentions[:_MOST_MENTIONS]:
            by_window[_window(text, mention)].append((candidate.key, mention))
    places = [(block, wanted) for window, wanted in by_window.items() for block in _blocks(text, *window)]

    def found_in(docs: "Sequence[Doc]") -> dict[str, list[Judgement]]:
        found: dict[str, list[Judgement]] = defaultdict(list)
        for doc, (block, wanted) in zip(docs, places, strict=True):
            spans = _spans(doc, block, wanted)
            for (key, _), judgement in zip(spans, learned.judge(doc, [span for _, span in spans]), strict=True):
                found[key].append(judgement)
        return found

    return read(Analysis.EVERYTHING, (block.text for block, _ in places), found_in)


def _window(text: str, mention: Mention) -> tuple[int, int]:
    """The sentence around a mention, or as much of it as is near."""
    start = max(0, mention.start - _WINDOW)
    for end_before in _SENTENCE_END.finditer(text, start, mention.start):
        start = end_before.end()
    end_after = _SENTENCE_END.search(text, mention.end, mention.end + _WINDOW)
    return start, end_after.end() if end_after else min(len(text), mention.end + _WINDOW)


def _blocks(text: str, start: int, end: int) -> Iterator[Block]:
    hidden = tuple(Span(start=start + first, end=start + last) for first, last in hidden_stretches(text[start:end]))
    return blocks(text, Chunk(start=start, end=end, index=0, hidden=hidden))


def _spans(doc: "Doc", block: Block, wanted: Iterable[tuple[str, Mention]]) -> list[tuple[str, WordSpan]]:
    """Those of the mentions that are in the block, in its words."""
    known = {(span.start, span.end): span for span in candidate_spans(doc, recognized([doc])[0])}
    return [
        (key, known.get((words.start, words.end), WordSpan(words.start, words.end, RUN)))
        for key, mention in wanted
        if (place := block.find(mention.start, mention.end)) is not None
        and (words := doc.char_span(*place, alignment_mode="expand")) is not None
    ]
