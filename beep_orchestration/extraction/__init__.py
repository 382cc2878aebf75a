"""Document in, graph out: pure functions with no database, no Dagster and no network.

Reading order: `pipeline` (the activities in their order), `model` (what travels between them), `chunking`,
`protocols` (what an extractor offers), `local` (the one that needs no network), `resolution`, `assembly`,
`provenance`; `ontology` and `documents` for what comes in. Names are loaded on first use, so that importing
this package loads neither spaCy nor rdflib.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from beep_orchestration.extraction.assembly import assemble
    from beep_orchestration.extraction.chunking import chunk_text
    from beep_orchestration.extraction.documents import decode_document, validate_document
    from beep_orchestration.extraction.examples import parse_examples
    from beep_orchestration.extraction.inputs import parse_extraction_input
    from beep_orchestration.extraction.local import local_extractors
    from beep_orchestration.extraction.ontology import Ontology, load_ontology
    from beep_orchestration.extraction.pipeline import batches, entities_by_chunk, examples_of, extract, extractors_for
    from beep_orchestration.extraction.protocols import Extractors
    from beep_orchestration.extraction.provenance import activity_name, activity_order, attributed
    from beep_orchestration.extraction.resolution import resolve, united
    from beep_orchestration.extraction.taught import taught_extractors

__all__ = [
    "Extractors",
    "Ontology",
    "activity_name",
    "activity_order",
    "assemble",
    "attributed",
    "batches",
    "chunk_text",
    "decode_document",
    "entities_by_chunk",
    "examples_of",
    "extract",
    "extractors_for",
    "load_ontology",
    "local_extractors",
    "parse_examples",
    "parse_extraction_input",
    "resolve",
    "taught_extractors",
    "united",
    "validate_document",
]

_MODULES = {
    "Extractors": "protocols",
    "Ontology": "ontology",
    "activity_name": "provenance",
    "activity_order": "provenance",
    "assemble": "assembly",
    "attributed": "provenance",
    "batches": "pipeline",
    "chunk_text": "chunking",
    "decode_document": "documents",
    "entities_by_chunk": "pipeline",
    "examples_of": "pipeline",
    "extract": "pipeline",
    "extractors_for": "pipeline",
    "load_ontology": "ontology",
    "local_extractors": "local",
    "parse_examples": "examples",
    "parse_extraction_input": "inputs",
    "resolve": "resolution",
    "taught_extractors": "taught",
    "united": "resolution",
    "validate_document": "documents",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
