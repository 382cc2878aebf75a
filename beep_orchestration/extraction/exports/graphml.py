"""A graph as GraphML, for Gephi, yEd, Cytoscape and networkx."""

from io import BytesIO

import networkx as nx

from beep_orchestration.extraction.exports.characters import visible
from beep_orchestration.extraction.model import Entity, Graph, Relation, Source


def to_graphml(graph: Graph) -> str:
    """Entities as nodes and relations as directed edges.

    Characters that XML cannot hold become U+FFFD, and a carriage return a line feed. Lists are written as text, one
    alias a line, spans as `start-end` (code points, end exclusive) and activities separated by spaces. The graph's
    `sources` names one extractor a line: name, version, and after a tab its activities.
    """
    network = nx.MultiDiGraph(**_document(graph))
    network.add_nodes_from((_xml(entity.id), _node(entity)) for entity in graph.entities)
    for number, relation in enumerate(graph.relations):  # the key becomes the edge's id
        network.add_edge(_xml(relation.subject), _xml(relation.object), key=f"relation-{number}", **_edge(relation))
    target = BytesIO()
    # Not generate_graphml: it splits its lines inside of names, at U+2028 and the like.
    nx.write_graphml_xml(network, target, named_key_ids=True)
    return target.getvalue().decode()


def _document(graph: Graph) -> dict[str, str]:
    facts = {
        "document_id": graph.document_id,
        "title": graph.title,
        "source_uri": graph.source_uri,
        "text_digest": graph.text_digest,
        "sources": "\n".join(map(_source, graph.provenance.sources)) or None,
    }
    return {name: _xml(value) for name, value in facts.items() if value is not None}


def _source(source: Source) -> str:
    return f"{source.extractor} {source.version}\t{' '.join(source.activities)}"


def _node(entity: Entity) -> dict[str, str | float | int]:
    return {
        "label": _xml(entity.name),
        "type": _xml(entity.type),
        "aliases": _xml("\n".join(entity.aliases)),
        "confidence": entity.confidence,
        "found_by": _xml(" ".join(entity.found_by)),
        "mentions": " ".join(f"{mention.start}-{mention.end}" for mention in entity.mentions),
    }


def _edge(relation: Relation) -> dict[str, str | float]:
    return {
        "label": _xml(relation.predicate),
        "confidence": relation.confidence,
        "found_by": _xml(" ".join(relation.found_by)),
        "evidence": " ".join(f"{span.start}-{span.end}" for span in relation.evidence),
    }


def _xml(text: str) -> str:
    return visible(text).replace("\r\n", "\n").replace("\r", "\n")
