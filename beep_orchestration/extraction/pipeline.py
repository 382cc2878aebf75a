"""The activities in their order, in memory: what the workflow does, without its durability. Read this first."""

from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

from beep_orchestration.extraction.assembly import assemble
from beep_orchestration.extraction.chunking import LEAD_IN, chunk_text
from beep_orchestration.extraction.llm import llm_extractors
from beep_orchestration.extraction.llm.calls import UnrecordedCalls
from beep_orchestration.extraction.llm.language_model import language_model, require_llm
from beep_orchestration.extraction.local import local_extractors
from beep_orchestration.extraction.model import Candidate, Chunk, Entity, Example, ExtractionInput, Graph, Mention
from beep_orchestration.extraction.ontology import load_ontology
from beep_orchestration.extraction.protocols import Extractors
from beep_orchestration.extraction.provenance import activity_name, attributed
from beep_orchestration.extraction.resolution import resolve, united
from beep_orchestration.extraction.taught import taught_extractors
from beep_orchestration.settings import load_settings


def extract(document: ExtractionInput, extractors: Extractors | None = None) -> Graph:
    """The graph of one document, by the extractors that its input names. Deterministic with the local ones.

    They have learned from the input's examples and from the ontology's, if there are any.

    Raises:
        InvalidOntologyError: the input's ontology is not Turtle or has no class.
    """
    use = extractors or extractors_for(document)
    text = document.text
    ontology = load_ontology(document.ontology)
    chunks = chunk_text(text, document.options)
    mentions = [use.mentions.extract_mentions(text, chunk, ontology) for chunk in chunks]
    candidates = resolve(attributed("mentions", mentions))
    typed = [
        use.entities.classify_entities(text, batch, ontology)
        for batch in batches(candidates, document.options.batch_size)
    ]
    entities = united(attributed("entities", typed))
    relations = [
        use.relations.extract_relations(text, chunk, present, ontology)
        for chunk, present in zip(chunks, entities_by_chunk(entities, chunks), strict=True)
    ]
    identities = {
        activity_name(stage, number): identity
        for stage, identity, parts in (
            ("mentions", use.mentions.identity, mentions),
            ("entities", use.entities.identity, typed),
            ("relations", use.relations.identity, relations),
        )
        for number in range(len(parts))
    }
    return assemble(document, chunks, entities, attributed("relations", relations), identities=identities)


def extractors_for(document: ExtractionInput, shelf: Path | None = None) -> Extractors:
    """Those that the input names, for use in memory. Loads and learns nothing yet; a language model is not asked yet.

    The local ones are taught if the input or its ontology has examples, and what they learn is kept in the folder
    `shelf`; a language model is shown the examples.

    Raises `InvalidInputError` if the extractor is not installed or not set up.
    """
    examples = examples_of(document)
    if document.extractor == "llm":
        settings = load_settings()
        require_llm(settings, document.options)
        return llm_extractors(UnrecordedCalls(language_model(settings)), examples)
    return taught_extractors(examples, shelf) if examples else local_extractors()


def examples_of(document: ExtractionInput) -> tuple[Example, ...]:
    """The examples of the ontology, and then those of the input."""
    return (*load_ontology(document.ontology).examples, *document.examples)


def batches(candidates: Sequence[Candidate], size: int) -> list[list[Candidate]]:
    """The candidates in their order, `size` at a time: the inputs of the `entities` activities."""
    return [list(candidates[start : start + size]) for start in range(0, len(candidates), size)]


def entities_by_chunk(entities: Sequence[Entity], chunks: Sequence[Chunk]) -> list[list[Entity]]:
    """For each chunk the entities mentioned in it or just before it, with only these mentions: inputs of `relations`.

    A mention in an overlap belongs to both chunks. Time is linear in mentions and chunks together.
    """
    inside: list[list[Entity]] = [[] for _ in chunks]
    ends = [chunk.end for chunk in chunks]
    for entity in entities:
        for index, mentions in _mentions_by_chunk(entity, chunks, ends).items():
            inside[index].append(entity.model_copy(update={"mentions": tuple(mentions)}))
    return inside


def _mentions_by_chunk(entity: Entity, chunks: Sequence[Chunk], ends: Sequence[int]) -> dict[int, list[Mention]]:
    found: dict[int, list[Mention]] = {}
    for mention in entity.mentions:
        index = bisect_left(ends, mention.end)
        while index < len(chunks) and chunks[index].start - LEAD_IN <= mention.start:
            found.setdefault(index, []).append(mention)
            index += 1
    return found
