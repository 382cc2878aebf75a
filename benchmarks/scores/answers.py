"""What our extractors answer, in the benchmarks' terms."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from beep_orchestration.errors import InvalidAnswerError
from beep_orchestration.extraction import (
    Extractors,
    batches,
    chunk_text,
    extract,
    load_ontology,
    resolve,
    united,
)
from beep_orchestration.extraction.model import Candidate, Entity, Example, ExampleTriple, ExtractionInput
from beep_orchestration.extraction.names import date_key
from beep_orchestration.extraction.ontology import Ontology
from benchmarks.scores.data import Benchmark, NamedEntity, Sentence
from benchmarks.scores.names import TYPE_OF_CLASS, TYPE_OF_LABEL
from benchmarks.scores.triples import Triple

_MONTHS = "January February March April May June July August September October November December".split()  # noqa: SIM905
_DATE = re.compile(r"(?P<year>\d{4})(?:-(?P<month>0[1-9]|1[0-2])-(?P<day>\d\d))?")


@dataclass(frozen=True)
class Answer:
    """Triples for a sentence; `admitted` of them are inside their relations' domains and ranges."""

    triples: tuple[Triple, ...]
    admitted: int


def answer(sentence: Sentence, turtle: str, extractors: Extractors) -> Answer:
    """The graph of a document that has this sentence only; nothing where a language model answers something else."""
    try:
        graph = extract(ExtractionInput(document_id=sentence.id, text=sentence.text, ontology=turtle), extractors)
    except InvalidAnswerError:
        return Answer((), 0)
    ontology = load_ontology(turtle)
    entities = {entity.id: entity for entity in graph.entities}
    ends = [(entities[found.subject], found.predicate, entities[found.object]) for found in graph.relations]
    return Answer(
        tuple(Triple(_written(first), predicate, _written(second)) for first, predicate, second in ends),
        sum(_admits(ontology, predicate, first.type, second.type) for first, predicate, second in ends),
    )


def examples(benchmark: Benchmark) -> list[Example]:
    """The training sentences, without triples whose relation the ontology does not have."""
    known = {relation.name for relation in load_ontology(benchmark.turtle).relations}
    return [
        Example(
            text=sentence.text,
            triples=tuple(
                ExampleTriple(subject=triple.subject, relation=triple.relation, object=triple.object)
                for triple in sentence.triples
                if triple.relation in known
            ),
        )
        for sentence in benchmark.train
    ]


def named_entities(text: str, extractors: Extractors) -> Iterator[NamedEntity]:
    """Every entity of a document, by the built-in ontology; also numbers, which are in no graph."""
    document = ExtractionInput(document_id="document", text=text)
    ontology = load_ontology(None)
    chunks = chunk_text(text, document.options)
    mentions = [found for chunk in chunks for found in extractors.mentions.extract_mentions(text, chunk, ontology)]
    candidates = resolve(mentions)
    typed = [
        found
        for batch in batches(candidates, document.options.batch_size)
        for found in extractors.entities.classify_entities(text, batch, ontology)
    ]
    of_things = {found.id for found in typed}
    for found in (*united(typed), *(candidate for candidate in candidates if candidate.key not in of_things)):
        yield NamedEntity(_type_of(found), frozenset((mention.start, mention.end) for mention in found.mentions))


def _type_of(found: Entity | Candidate) -> str:
    known = TYPE_OF_LABEL.get(found.mentions[0].label)
    return known or TYPE_OF_CLASS.get(found.type if isinstance(found, Entity) else "", "MISC")


def _admits(ontology: Ontology, predicate: str, subject_type: str, object_type: str) -> bool:
    return any(
        ontology.allows(relation, subject_type, object_type)
        for relation in ontology.relations
        if relation.name == predicate
    )


def _written(entity: Entity) -> str:
    """Names as they are; days and years as the benchmark writes them, '1984' as '01 January 1984'."""
    found = _DATE.fullmatch(date_key(entity.name))
    if found is None:
        return entity.name
    return f"{found['day'] or '01'} {_MONTHS[int(found['month'] or 1) - 1]} {found['year']}"
