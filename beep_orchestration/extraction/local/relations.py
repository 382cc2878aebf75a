"""Facts that a chunk states: what its clauses say, where the ontology has a phrase for it and the types fit."""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from beep_orchestration.extraction.chunking import with_lead_in
from beep_orchestration.extraction.local.clauses import Statement, statements
from beep_orchestration.extraction.local.factuality import is_asserted, is_doubtful, is_question
from beep_orchestration.extraction.local.language_model import Analysis, identity, read
from beep_orchestration.extraction.local.phrases import PhraseIndex, Reading
from beep_orchestration.extraction.local.referents import Referents
from beep_orchestration.extraction.model import Chunk, Entity, Relation, Span
from beep_orchestration.extraction.ontology import Ontology
from beep_orchestration.extraction.prose import Block, blocks

if TYPE_CHECKING:
    from spacy.tokens import Doc
    from spacy.tokens import Span as Sentence

_CONFIDENCE = 0.9
_LONGEST_SENTENCE = 200  # words; what is longer is a list or no prose, and its grammar is a guess


class LocalRelationExtractor:
    """`RelationExtractor` by the local model's dependency trees and the ontology's phrases."""

    @property
    def identity(self) -> str:
        """Model, its version and the digest of the rules; loads nothing."""
        return identity("local-relations")

    def extract_relations(
        self, text: str, chunk: Chunk, entities: Sequence[Entity], ontology: Ontology
    ) -> list[Relation]:
        """As the protocol says; the sentences just before the chunk are read for what its pronouns refer to."""
        phrases = PhraseIndex(ontology)
        return relations_by_sentence(text, chunk, entities, partial(by_phrases, phrases=phrases))


class ReadSentence(NamedTuple):
    """A sentence of a block, with what is named in it and what its words refer to."""

    block: Block
    words: "Sentence"
    named: "Sequence[NamedPlace]"
    referents: Referents
    evidence: Span


def relations_by_sentence(
    text: str, chunk: Chunk, entities: Sequence[Entity], find: Callable[[ReadSentence], Iterator[Relation]]
) -> list[Relation]:
    """What `find` finds in the sentences of a chunk that state something, by the local model's reading of them.

    Questions state nothing, and what is very long is a list or no prose.
    """
    prose = list(blocks(text, with_lead_in(text, chunk)))
    places = _Places(entities)
    referents = Referents()

    def found_in(documents: "Sequence[Doc]") -> list[Relation]:
        return [
            relation
            for block, doc in zip(prose, documents, strict=True)
            for sentence in _sentences(block, doc, places.in_block(block), referents)
            for relation in find(sentence)
            if relation.evidence[0].start >= chunk.start
        ]

    return read(Analysis.SENTENCES, (block.text for block in prose), found_in)


class NamedPlace(NamedTuple):
    """An entity's mention in a block, in the block's offsets."""

    start: int
    end: int
    entity: Entity


class _Places:
    """The chunk's mentions in the order of the document."""

    def __init__(self, entities: Sequence[Entity]) -> None:
        found = ((mention.start, mention.end, entity) for entity in entities for mention in entity.mentions)
        self._mentions = sorted(found, key=lambda place: place[:2])
        self._starts = [start for start, _, _ in self._mentions]

    def in_block(self, block: Block) -> list[NamedPlace]:
        first = bisect_left(self._starts, block.starts[0])
        last = bisect_left(self._starts, block.ends[-1])
        return [
            NamedPlace(bisect_left(block.starts, start), bisect_left(block.ends, end) + 1, entity)
            for start, end, entity in self._mentions[first:last]
        ]


def _sentences(block: Block, doc: "Doc", named: Sequence[NamedPlace], referents: Referents) -> Iterator[ReadSentence]:
    if not named:
        return
    referents.enter(_by_token(doc, named))
    for sentence in (found for found in doc.sents if len(found) <= _LONGEST_SENTENCE):
        inside = [found for found in named if sentence.start_char <= found.start < sentence.end_char]
        referents.read(sentence)
        yield ReadSentence(block, sentence, inside, referents, _evidence(block, sentence))
        referents.leave()


def by_phrases(sentence: ReadSentence, phrases: PhraseIndex) -> Iterator[Relation]:
    """What the sentence states in phrases of the ontology."""
    for statement in () if is_question(sentence.words) else statements(sentence.words):
        if not _is_doubtful(statement):
            yield from _of_statement(statement, phrases, sentence.referents, sentence.evidence)
    yield from _of_layout(sentence, phrases)


def _by_token(doc: "Doc", named: Sequence[NamedPlace]) -> Mapping[int, Entity]:
    found = {}
    for start, end, entity in named:
        tokens = doc.char_span(start, end, alignment_mode="expand")
        for token in tokens or ():
            found[token.i] = entity
    return found


def _evidence(block: Block, sentence: "Sentence") -> Span:
    text = block.text[sentence.start_char : sentence.end_char]
    start = sentence.start_char + len(text) - len(text.lstrip())
    return block.span(start, start + max(len(text.strip()), 1))


def _is_doubtful(statement: Statement) -> bool:
    predicate = statement.predicate
    if predicate.pos_ in ("VERB", "AUX"):
        return not is_asserted(predicate) or is_doubtful(statement.object)
    return is_doubtful(predicate)


def _of_statement(
    statement: Statement, phrases: PhraseIndex, referents: Referents, evidence: Span
) -> Iterator[Relation]:
    if referents.same_name(statement.subject, statement.object):
        return  # 'Institute' and 'Technology' are parts of one name
    in_noun_phrase = statement.predicate == statement.subject
    subjects = referents.of_one(statement.subject) if in_noun_phrase else referents.of(statement.subject)
    objects = referents.of(statement.object) if subjects else []
    for subject in subjects:
        for target in objects:
            certainty = subject.certainty * target.certainty * statement.strength
            reading = phrases.find(statement.phrase, subject.entity.type, target.entity.type)
            yield from _relation(reading, subject.entity, target.entity, certainty, evidence)


def _relation(
    reading: Reading | None, first: Entity, second: Entity, certainty: float, evidence: Span
) -> Iterator[Relation]:
    if reading is None or first.id == second.id:
        return
    subject, target = (second, first) if reading.inverse else (first, second)
    yield Relation(
        subject=subject.id,
        predicate=reading.relation.name,
        object=target.id,
        confidence=round(_CONFIDENCE * certainty, 2),
        evidence=(evidence,),
    )


_LAYOUT_CERTAINTY = 0.9
_LIFE_START = re.compile(
    r"['\"”’]? \((?:[^()]{0,60}; )?(?P<said>born |b\. )?$|['\"”’]? \((?P<name>née|born) [\w .]{1,40}[;,] $"
)
_LIFE_END = re.compile(r" ?[–—-] ?$")
_WITHIN = re.compile(r", $")
_LED_BY = re.compile(r"\b(?:in|at|near|from|to|of) $")
_LISTED = re.compile(r",? (?:and|or|&) |, [A-Z]")


def _of_layout(sentence: ReadSentence, phrases: PhraseIndex) -> Iterator[Relation]:
    """What stands side by side: 'Ada Lovelace (10 December 1815 - 27 November 1852)', 'in Murray Hill, New Jersey'."""
    for first, phrase, second in _side_by_side(sentence.block.text, sentence.named):
        reading = phrases.find(phrase, first.type, second.type)
        yield from _relation(reading, first, second, _LAYOUT_CERTAINTY, sentence.evidence)


def _side_by_side(text: str, named: Sequence[NamedPlace]) -> Iterator[tuple[Entity, str, Entity]]:
    for index, (first, second) in enumerate(pairwise(named)):
        between = text[first.end : second.start]
        if start := _LIFE_START.match(between):
            ends = [third for third in named[index + 2 : index + 3] if _LIFE_END.match(text[second.end : third.start])]
            if ends or start["said"] or start["name"]:  # one year alone is that of anything: 'Vertigo (1958)'
                yield first.entity, "born", second.entity
            yield from ((first.entity, "die", third.entity) for third in ends)
        elif _WITHIN.match(between) and _is_led_not_listed(text, first, second):
            yield first.entity, "located in", second.entity


def _is_led_not_listed(text: str, first: NamedPlace, second: NamedPlace) -> bool:
    """'in Murray Hill, New Jersey', but not 'in London, Paris and Rome'."""
    led = _LED_BY.search(text, max(0, first.start - 8), first.start)
    return led is not None and not _LISTED.match(text, second.end)
