"""A graph as RDF in Turtle (W3C, RDF 1.1 Turtle)."""

import json
from collections.abc import Iterator

from beep_orchestration.extraction.exports.characters import escaped
from beep_orchestration.extraction.exports.statements import TYPE, Iri, Shortener, Text, prefixes, statements
from beep_orchestration.extraction.model import Graph
from beep_orchestration.extraction.ontology import Ontology


def to_turtle(graph: Graph, ontology: Ontology) -> str:
    """What `statements` says, as Turtle that any parser reads back to the same names and offsets."""
    return escaped("".join(_blocks(graph, ontology)))


def _blocks(graph: Graph, ontology: Ontology) -> Iterator[str]:
    namespaces = prefixes(graph)
    for prefix, namespace in namespaces.items():
        yield f"@prefix {prefix}: <{namespace}> .\n"
    shortener = Shortener(namespaces)
    for subject, said in statements(graph, ontology).items():
        facts = " ;\n    ".join(f"{_verb(predicate, shortener)} {_term(value, shortener)}" for predicate, value in said)
        yield f"\n{_term(subject, shortener)} {facts} .\n"


def _verb(predicate: Iri, shortener: Shortener) -> str:
    return "a" if predicate == TYPE else _term(predicate, shortener)


def _term(value: Iri | Text, shortener: Shortener) -> str:
    if isinstance(value, Iri):
        return shortener.shorten(value) or f"<{value}>"
    # JSON's escapes are Turtle's, but for `\/`, which is never written.
    quoted = json.dumps(value.value, ensure_ascii=False)
    return quoted if value.datatype is None else f"{quoted}^^{_term(value.datatype, shortener)}"
