"""A graph as files for others: JSON, one HTML page, Turtle and GraphML; and, in `terminal`, as a report for people.

All are pure: the same graph and text give the same characters. Names are data in every format: whatever a document
says, it cannot break out of the format into markup, script, another statement or a terminal's control sequence.
"""

from enum import StrEnum
from typing import assert_never

from beep_orchestration.extraction.model import Graph


class GraphFormat(StrEnum):
    """What a graph can be exported as."""

    JSON = "json"
    HTML = "html"
    TURTLE = "turtle"
    GRAPHML = "graphml"


def export(graph: Graph, text: str, graph_format: GraphFormat, ontology: str | None = None) -> str:
    """The graph in that format; write it to a file as UTF-8.

    `text` is the document and `ontology` the Turtle text (None: the built-in one) that the graph was extracted with.

    Raises:
        InvalidInputError: `text` is not the text that the graph was extracted from (HTML, which shows it).
        InvalidOntologyError: the ontology is not Turtle (Turtle, which takes its IRIs).
    """
    # The modules import rdflib and networkx, which are slow: each is loaded only for its format.
    match graph_format:
        case GraphFormat.JSON:
            from beep_orchestration.extraction.exports.json_document import to_json  # noqa: PLC0415

            return to_json(graph)
        case GraphFormat.HTML:
            from beep_orchestration.extraction.exports.page import to_html  # noqa: PLC0415

            return to_html(graph, text)
        case GraphFormat.TURTLE:
            from beep_orchestration.extraction.exports.turtle import to_turtle  # noqa: PLC0415
            from beep_orchestration.extraction.ontology import load_ontology  # noqa: PLC0415

            return to_turtle(graph, load_ontology(ontology))
        case GraphFormat.GRAPHML:
            from beep_orchestration.extraction.exports.graphml import to_graphml  # noqa: PLC0415

            return to_graphml(graph)
        case _:
            assert_never(graph_format)
