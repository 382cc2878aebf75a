"""Facts of a chunk, as a language model reads them and text and ontology bear them out."""

import re
from bisect import bisect_right
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from beep_orchestration.extraction.chunking import with_lead_in
from beep_orchestration.extraction.llm.calls import Calls, Tally
from beep_orchestration.extraction.llm.few_shot import Examples
from beep_orchestration.extraction.llm.identity import identity
from beep_orchestration.extraction.llm.prompts import RELATIONS, entity_line, material, relations_of
from beep_orchestration.extraction.llm.questions import Question, RelationsAnswer, StatedFact
from beep_orchestration.extraction.model import Chunk, Entity, Mention, Relation, Span
from beep_orchestration.extraction.ontology import Ontology, OntologyRelation
from beep_orchestration.extraction.prose import Block, blocks

_STATED = 0.85
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’»)\]]{0,3}\s+(?=[\"'“‘«(\[]*[A-Z0-9])|(?<=[。！？])")
_MOST = 12  # examples; enough to show what is meant, and each is paid for with every question
_ENOUGH = 2  # entities, for there to be a fact


class LlmRelationExtractor:
    """`RelationExtractor` by a language model: one call for each chunk in which a fact can be."""

    def __init__(self, calls: Calls, examples: Examples) -> None:
        self._calls = calls
        self._examples = examples

    @property
    def identity(self) -> str:
        """The model, the digest of prompts and checks, and that of the examples."""
        return identity("llm-relations", self._calls.identity, self._examples)

    def extract_relations(
        self, text: str, chunk: Chunk, entities: Sequence[Entity], ontology: Ontology
    ) -> list[Relation]:
        """As the protocol says.

        A fact is dropped and counted if it names an entity, relation or sentence that is not in the lists, relates
        types that the ontology does not relate, or if its sentence names neither of its entities.
        """
        possible = _possible(ontology, entities)
        sentences = _Sentences(text, chunk, [mention for entity in entities for mention in entity.mentions])
        if not possible or not sentences.spans:
            return []
        shown = self._examples.shown(text[chunk.start : chunk.end], possible, _MOST)
        question = Question(
            instructions=f"{RELATIONS}\n{relations_of(list(possible.values()))}",
            material=material(
                ("Examples of texts, and some of the facts that they state:", shown),
                ("Entities:", "\n".join(entity_line(number, entity) for number, entity in enumerate(entities, 1))),
                ("What stands before, to know what pronouns mean:", sentences.before),
                ("Sentences:", sentences.numbered()),
            ),
            answer_type=RelationsAnswer,
            allowed=(("StatedFact", "relation", tuple(possible)),),
        )
        check = _Check(entities, possible, sentences.spans, ontology)
        return self._calls.ask(question, lambda answer, tally: list(check.relations(answer.facts, tally)))


def _possible(ontology: Ontology, entities: Sequence[Entity]) -> dict[str, OntologyRelation]:
    """The relations that types of these entities admit, by name: the model need not read the others."""
    if len(entities) < _ENOUGH:
        return {}
    types = {entity.type for entity in entities}
    return {
        relation.name: relation
        for relation in ontology.relations
        if any(ontology.allows(relation, first, second) for first in types for second in types)
    }


class _Sentences:
    """The sentences of a chunk, and the text just before it. No sentence ends within a name."""

    def __init__(self, text: str, chunk: Chunk, names: Iterable[Mention]) -> None:
        within = {place for name in names for place in range(name.start + 1, name.end)}
        found = [
            (block.span(start, end), block.text[start:end].strip())
            for block in blocks(text, with_lead_in(text, chunk))
            for start, end in _cut(block, within)
        ]
        own = [(span, sentence) for span, sentence in found if span.start >= chunk.start]
        self.spans = [span for span, _ in own]
        self.before = " ".join(sentence for span, sentence in found if span.start < chunk.start)
        self._texts = [sentence for _, sentence in own]

    def numbered(self) -> str:
        return "\n".join(f"[{number}] {sentence}" for number, sentence in enumerate(self._texts, start=1))


def _cut(block: Block, within_names: Container[int]) -> Iterator[tuple[int, int]]:
    """Sentences without the white space around them; cut where a sentence's end is followed by a beginning.

    The full stop of 'Warner Bros. Records' ends no sentence.
    """
    start = 0
    ends = (found.end() for found in _SENTENCE_END.finditer(block.text))
    for end in [*(end for end in ends if block.starts[end] not in within_names), len(block.text)]:
        sentence = block.text[start:end]
        if sentence.strip():
            first = start + len(sentence) - len(sentence.lstrip())
            yield first, first + len(sentence.strip())
        start = end


def _triple(relation: Relation) -> tuple[str, str, str]:
    return relation.subject, relation.predicate, relation.object


class _Check:
    """Lets through what text and ontology bear out."""

    def __init__(
        self,
        entities: Sequence[Entity],
        possible: Mapping[str, OntologyRelation],
        sentences: Sequence[Span],
        ontology: Ontology,
    ) -> None:
        self._entities = dict(enumerate(entities, start=1))
        self._relations = {phrase.casefold(): relation for relation in possible.values() for phrase in relation.phrases}
        self._relations |= {name.casefold(): relation for name, relation in possible.items()}
        self._sentences = sentences
        self._ontology = ontology
        starts = [sentence.start for sentence in sentences]
        self._named_in = {
            entity.id: {bisect_right(starts, mention.start) for mention in entity.mentions} for entity in entities
        }

    def relations(self, facts: Sequence[StatedFact], tally: Tally) -> Iterator[Relation]:
        found = [relation for fact in facts if (relation := self._relation(fact, tally)) is not None]
        for _, same in groupby(sorted(found, key=_triple), key=_triple):
            first, *others = same
            evidence = {(span.start, span.end): span for other in (first, *others) for span in other.evidence}
            yield first.model_copy(update={"evidence": tuple(span for _, span in sorted(evidence.items()))})

    def _relation(self, fact: StatedFact, tally: Tally) -> Relation | None:
        subject, target = self._entities.get(fact.subject), self._entities.get(fact.object)
        relation = self._relations.get(fact.relation.strip().casefold())
        if subject is None or target is None or relation is None or subject.id == target.id:
            tally["relations_unknown"] += 1
            return None
        if not self._ontology.allows(relation, subject.type, target.type):
            tally["relations_outside_domain_or_range"] += 1
            return None
        sentence = self._sentence_of(fact.sentence, subject, target, tally)
        if sentence is None:
            tally["relations_without_evidence"] += 1
            return None
        return Relation(
            subject=subject.id,
            predicate=relation.name,
            object=target.id,
            confidence=_STATED,
            evidence=(sentence,),
        )

    def _sentence_of(self, number: int, subject: Entity, target: Entity, tally: Tally) -> Span | None:
        """The sentence of that number if it names one of the two; else the nearest that names both."""
        subject_in, target_in = self._named_in[subject.id], self._named_in[target.id]
        if number in subject_in | target_in and 1 <= number <= len(self._sentences):
            return self._sentences[number - 1]
        both = [found for found in subject_in & target_in if found >= 1]
        if not both:
            return None
        tally["relations_aligned"] += 1
        return self._sentences[min(both, key=lambda found: (abs(found - number), found)) - 1]
