"""A graph as one self-contained HTML page: the picture beside the document that it came from."""

import base64
import hashlib
import json
import re
from html import escape
from importlib import resources

from beep_orchestration.extraction.exports.characters import require_text_of
from beep_orchestration.extraction.exports.json_document import graph_document
from beep_orchestration.extraction.model import Graph

_SCRIPTS = ("layout.js", "picture.js", "page.js")


def to_html(graph: Graph, text: str) -> str:
    """A page that needs no network and nothing beside itself.

    Names and text are data: they travel as JSON in which no character can end the script element, reach the page as
    text nodes only, and the page's Content-Security-Policy lets no script or style run but its own, by their hashes.

    Raises:
        InvalidInputError: `text` is not the text that the graph was extracted from.
    """
    require_text_of(graph, text)
    script, style = "".join(map(_part, _SCRIPTS)), _part("page.css")
    parts = {
        "policy": f"default-src 'none'; script-src {_source(script)}; style-src {_source(style)}; "
        "base-uri 'none'; form-action 'none'",
        "title": escape(graph.title or graph.document_id),
        "style": style,
        "script": script,
        "data": _json_in_html({**graph_document(graph), "text": text}),
    }
    # One pass over the template: a document that contains {{script}} is never looked at.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _part("page.html"))


def _part(name: str) -> str:
    return resources.files(__package__).joinpath("picture", name).read_text(encoding="utf-8")


def _source(code: str) -> str:
    """The code's hash as a Content-Security-Policy source (CSP Level 3)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"


def _json_in_html(value: object) -> str:
    r"""JSON without `<`: as `\u003c` it means the same, and starts neither `</script>` nor `<!--`."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
