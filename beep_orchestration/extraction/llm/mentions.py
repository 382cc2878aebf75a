"""Names in a chunk, as a language model lists them and the text bears them out."""

from collections.abc import Iterator, Sequence

from beep_orchestration.extraction.llm.alignment import AlignedText, Place
from beep_orchestration.extraction.llm.calls import Calls, Tally
from beep_orchestration.extraction.llm.few_shot import Examples
from beep_orchestration.extraction.llm.identity import identity
from beep_orchestration.extraction.llm.prompts import MENTIONS, joins_of, material, types_of
from beep_orchestration.extraction.llm.questions import MentionsAnswer, NamedThing, Question
from beep_orchestration.extraction.model import Chunk, Mention
from beep_orchestration.extraction.ontology import Ontology
from beep_orchestration.extraction.prose import Block, blocks

_EXACT, _ALIGNED = 0.9, 0.8
_MOST = 8  # examples; enough to show how far a name goes


class LlmMentionExtractor:
    """`MentionExtractor` by a language model: one call for each chunk that holds prose."""

    def __init__(self, calls: Calls, examples: Examples) -> None:
        self._calls = calls
        self._examples = examples

    @property
    def identity(self) -> str:
        """The model, the digest of prompts and checks, and that of the examples."""
        return identity("llm-mentions", self._calls.identity, self._examples)

    def extract_mentions(self, text: str, chunk: Chunk, ontology: Ontology) -> list[Mention]:
        """As the protocol says. A listed name that does not stand in the chunk is dropped and counted."""
        prose = list(blocks(text, chunk))
        if not prose:
            return []
        shown = self._examples.shown(text[chunk.start : chunk.end], {found.name for found in ontology.relations}, _MOST)
        question = Question(
            instructions=f"{MENTIONS}\n{types_of(ontology)}\n{joins_of(ontology)}",
            material=material(
                ("Examples of texts, and some of the facts that they state:", shown),
                ("Document:", "\n\n".join(block.text for block in prose)),
            ),
            answer_type=MentionsAnswer,
        )
        return self._calls.ask(question, lambda answer, tally: _mentions(text, prose, answer.mentions, tally))


def _mentions(text: str, prose: Sequence[Block], listed: Sequence[NamedThing], tally: Tally) -> list[Mention]:
    aligned = [(block, AlignedText(block.text)) for block in prose]
    labels = _labels_by_name(listed)
    found = [
        _mention(text, block, place, label)
        for name, meanings in labels.items()
        for block, place, label in _placed(name, meanings, aligned, tally)
    ]
    return _disjoint(found)


def _labels_by_name(listed: Sequence[NamedThing]) -> dict[str, list[str]]:
    """Names in the order of the list, and what each stands for, in that order."""
    labels: dict[str, list[str]] = {}
    for thing in listed:
        meanings = labels.setdefault(thing.name, [])
        if meanings[-1:] != [thing.label]:
            meanings.append(thing.label)
    return labels


def _placed(
    name: str, meanings: Sequence[str], aligned: Sequence[tuple[Block, AlignedText]], tally: Tally
) -> Iterator[tuple[Block, Place, str]]:
    """The places of a name; the first of several meanings goes to the first place, and the last one to all others."""
    places = [(block, place) for block, text in aligned for place in text.find(name)]
    if any(place.is_exact for _, place in places):
        places = [(block, place) for block, place in places if place.is_exact]
        tally["mentions_exact"] += 1
    else:
        tally["mentions_aligned" if places else "mentions_dropped"] += 1
    for number, (block, place) in enumerate(places):
        yield block, place, meanings[min(number, len(meanings) - 1)]


def _mention(text: str, block: Block, place: Place, label: str) -> Mention:
    span = block.span(place.start, place.end)
    confidence = _EXACT if place.is_exact else _ALIGNED
    return Mention(start=span.start, end=span.end, text=text[span.start : span.end], label=label, confidence=confidence)


def _disjoint(mentions: Sequence[Mention]) -> list[Mention]:
    """Of mentions that overlap the longest, among equals the surer one, then the one that the model named first."""
    kept: list[Mention] = []
    taken: set[int] = set()
    for mention in sorted(mentions, key=lambda found: (found.start - found.end, -found.confidence)):
        places = range(mention.start, mention.end)
        if taken.isdisjoint(places):
            taken.update(places)
            kept.append(mention)
    return sorted(kept, key=lambda found: found.start)
