"""A graph as files for others: JSON, one HTML page, RDF, GraphML, CSV, JSON Lines, and a report for people.

All are pure: the same graph and text give the same bytes. Names are data in every format: whatever a document says, it
cannot break out of the format into markup, script, another statement or a terminal's control sequence.
"""

from enum import StrEnum
from typing import assert_never

from beep_orchestration.extraction.model import Graph


class GraphFormat(StrEnum):
    """What a graph can be exported as."""

    JSON = "json"
    JSONL = "jsonl"
    HTML = "html"
    TURTLE = "turtle"
    JSONLD = "jsonld"
    GRAPHML = "graphml"
    CSV = "csv"
    TEXT = "text"


def export(graph: Graph, text: str, graph_format: GraphFormat, ontology: str | None = None) -> bytes:
    """The graph in that format: text in UTF-8, and for CSV a ZIP archive.

    `text` is the document and `ontology` the Turtle text (None: the built-in one) that the graph was extracted with.

    Raises:
        InvalidInputError: `text` is not the text that the graph was extracted from (formats that quote it).
        InvalidOntologyError: the ontology is not Turtle (Turtle and JSON-LD, which take its IRIs).
    """
    # The modules import rdflib, networkx and rich, which are slow: each is loaded only for its format.
    match graph_format:
        case GraphFormat.JSON:
            from beep_orchestration.extraction.exports.json_document import to_json  # noqa: PLC0415

            document = to_json(graph)
        case GraphFormat.JSONL:
            from beep_orchestration.extraction.exports.json_lines import to_jsonl  # noqa: PLC0415

            document = to_jsonl(graph)
        case GraphFormat.HTML:
            from beep_orchestration.extraction.exports.page import to_html  # noqa: PLC0415

            document = to_html(graph, text)
        case GraphFormat.TURTLE:
            from beep_orchestration.extraction.exports.turtle import to_turtle  # noqa: PLC0415
            from beep_orchestration.extraction.ontology import load_ontology  # noqa: PLC0415

            document = to_turtle(graph, load_ontology(ontology))
        case GraphFormat.JSONLD:
            from beep_orchestration.extraction.exports.jsonld import to_jsonld  # noqa: PLC0415
            from beep_orchestration.extraction.ontology import load_ontology  # noqa: PLC0415

            document = to_jsonld(graph, load_ontology(ontology))
        case GraphFormat.GRAPHML:
            from beep_orchestration.extraction.exports.graphml import to_graphml  # noqa: PLC0415

            document = to_graphml(graph)
        case GraphFormat.CSV:
            from beep_orchestration.extraction.exports.csv_archive import to_csv  # noqa: PLC0415

            return to_csv(graph, text)  # an archive, no text
        case GraphFormat.TEXT:
            from beep_orchestration.extraction.exports.terminal import to_text  # noqa: PLC0415

            document = to_text(graph, text)
        case _:
            assert_never(graph_format)
    return document.encode()
