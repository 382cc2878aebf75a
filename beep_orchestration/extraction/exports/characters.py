"""Characters of a document that a format or a terminal would not take for text."""

import re

from beep_orchestration.errors import InvalidInputError
from beep_orchestration.extraction.model import Graph, text_digest

INVISIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
"""Controls (C0 but for tab and line ends, and C1), bidirectional overrides, and what XML 1.0 forbids besides."""

CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]")
"""What neither a terminal nor a reader of lines should meet raw; JSON and Turtle can write them as escapes."""


def escaped(document: str) -> str:
    r"""JSON or Turtle with the controls inside its strings written as `\u001b`: the same data, safe to print."""
    return CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", document)


def visible(text: str) -> str:
    """The text with U+FFFD for each character that would act rather than be seen."""
    return INVISIBLE.sub("\ufffd", text)


def require_text_of(graph: Graph, text: str) -> None:
    """Refuse another text than the graph's: its offsets would point at the wrong words.

    Raises:
        InvalidInputError: the digests differ.
    """
    if text_digest(text) != graph.text_digest:
        raise InvalidInputError(
            "text",
            f"is not the text that the graph of document {graph.document_id!r} was extracted from",
            "pass the document's text as it was given to the extraction",
        )
