"""Facts that a chunk states: what its clauses say, where the ontology has a phrase for it and the types fit."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from beep_orchestration.extraction.chunking import with_lead_in
from beep_orchestration.extraction.local.clauses import Statement, statements
from beep_orchestration.extraction.local.factuality import is_asserted, is_doubtful
from beep_orchestration.extraction.local.language_model import identity, session
from beep_orchestration.extraction.local.phrases import PhraseIndex
from beep_orchestration.extraction.local.referents import Referents
from beep_orchestration.extraction.model import Chunk, Entity, Relation, Span
from beep_orchestration.extraction.ontology import Ontology
from beep_orchestration.extraction.prose import Block, blocks

if TYPE_CHECKING:
    from spacy.tokens import Doc
    from spacy.tokens import Span as Sentence

_CONFIDENCE = 0.9


class LocalRelationExtractor:
    """`RelationExtractor` by the local model's dependency trees and the ontology's phrases."""

    @property
    def identity(self) -> str:
        return identity("local-relations")

    def extract_relations(
        self, text: str, chunk: Chunk, entities: Sequence[Entity], ontology: Ontology
    ) -> list[Relation]:
        prose = list(blocks(text, with_lead_in(text, chunk)))
        places = _Places(entities)
        phrases = PhraseIndex(ontology)
        referents = Referents()
        with session() as model:
            documents = model.sentences(block.text for block in prose)
            return [
                relation
                for block, doc in zip(prose, documents, strict=True)
                for relation in _relations(block, doc, places.in_block(block), phrases, referents)
                if relation.evidence[0].start >= chunk.start
            ]


class _Named(NamedTuple):
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

    def in_block(self, block: Block) -> list[_Named]:
        first = bisect_left(self._starts, block.starts[0])
        last = bisect_left(self._starts, block.ends[-1])
        return [
            _Named(bisect_left(block.starts, start), bisect_left(block.ends, end) + 1, entity)
            for start, end, entity in self._mentions[first:last]
        ]


def _relations(
    block: Block, doc: "Doc", named: Sequence[_Named], phrases: PhraseIndex, referents: Referents
) -> Iterator[Relation]:
    if not named:
        return
    referents.enter(_by_token(doc, named))
    for sentence in doc.sents:
        evidence = _evidence(block, sentence)
        for statement in statements(sentence):
            if not _is_doubtful(statement):
                yield from _of_statement(statement, phrases, referents, evidence)
        yield from _of_layout(block, sentence, named, phrases, evidence)
        referents.leave(sentence)


def _by_token(doc: "Doc", named: Sequence[_Named]) -> Mapping[int, Entity]:
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
    return is_doubtful(predicate) or predicate.sent.text.rstrip(" \"'”’)").endswith("?")


def _of_statement(
    statement: Statement, phrases: PhraseIndex, referents: Referents, evidence: Span
) -> Iterator[Relation]:
    if referents.same_name(statement.subject, statement.object):
        return  # 'Institute' and 'Technology' are parts of one name
    objects = referents.of(statement.object)
    for subject in referents.of(statement.subject) if objects else ():
        for target in objects:
            certainty = subject.certainty * target.certainty * statement.strength
            yield from _relation(phrases, statement.phrase, subject.entity, target.entity, certainty, evidence)


def _relation(
    phrases: PhraseIndex, phrase: str, first: Entity, second: Entity, certainty: float, evidence: Span
) -> Iterator[Relation]:
    reading = phrases.find(phrase, first.type, second.type)
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


_LIFE_START = re.compile(r"['\"”’]? \((?:[^()]{0,60}; )?(?:born |b\. )?$|['\"”’]? \((?:née|born) [\w .]{1,40}[;,] $")
_LIFE_END = re.compile(r" ?[–—-] ?$")
_WITHIN = re.compile(r", $")
_LED_BY = re.compile(r"\b(?:in|at|near|from|to|of) $")
_LISTED = re.compile(r",? (?:and|or|&) |, [A-Z]")


def _of_layout(
    block: Block, sentence: "Sentence", named: Sequence[_Named], phrases: PhraseIndex, evidence: Span
) -> Iterator[Relation]:
    """What stands side by side: 'Ada Lovelace (10 December 1815 - 27 November 1852)', 'in Murray Hill, New Jersey'."""
    inside = [found for found in named if sentence.start_char <= found.start < sentence.end_char]
    for index, (first, second) in enumerate(zip(inside, inside[1:], strict=False)):
        between = block.text[first.end : second.start]
        if _LIFE_START.match(between):
            yield from _relation(phrases, "born", first.entity, second.entity, 1.0, evidence)
            for third in inside[index + 2 : index + 3]:
                if _LIFE_END.match(block.text[second.end : third.start]):
                    yield from _relation(phrases, "die", first.entity, third.entity, 1.0, evidence)
        elif _WITHIN.match(between) and _LED_BY.search(block.text[: first.start][-8:]):
            if not _LISTED.match(block.text[second.end : second.end + 8]):
                yield from _relation(phrases, "located in", first.entity, second.entity, 0.9, evidence)
