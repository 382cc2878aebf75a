"""A graph as RDF in JSON-LD (W3C, JSON-LD 1.1)."""

import json
from typing import Any

from beep_orchestration.extraction.exports.characters import escaped
from beep_orchestration.extraction.exports.statements import TYPE, Iri, Shortener, Text, prefixes, statements
from beep_orchestration.extraction.model import Graph
from beep_orchestration.extraction.ontology import Ontology


def to_jsonld(graph: Graph, ontology: Ontology) -> str:
    """What `statements` says, one node a line, with a context of its own: reading it fetches nothing."""
    namespaces = prefixes(graph)
    shortener = Shortener(namespaces)
    nodes = (_node(subject, said, shortener) for subject, said in statements(graph, ontology).items())
    lines = ",\n".join(json.dumps(node, ensure_ascii=False) for node in nodes)
    context = json.dumps(namespaces, ensure_ascii=False)
    return escaped(f'{{"@context": {context},\n"@graph": [\n{lines}\n]}}')


def _node(subject: Iri, said: list[tuple[Iri, Iri | Text]], shortener: Shortener) -> dict[str, Any]:
    node: dict[str, Any] = {"@id": _name(subject, shortener)}
    for predicate, value in said:
        if predicate == TYPE and isinstance(value, Iri):
            node.setdefault("@type", []).append(_name(value, shortener))
        else:
            node.setdefault(_name(predicate, shortener), []).append(_value(value, shortener))
    return node


def _value(value: Iri | Text, shortener: Shortener) -> str | dict[str, str]:
    if isinstance(value, Iri):
        return {"@id": _name(value, shortener)}
    if value.datatype is None:
        return value.value
    return {"@value": value.value, "@type": _name(value.datatype, shortener)}


def _name(iri: Iri, shortener: Shortener) -> str:
    return shortener.shorten(iri) or iri
