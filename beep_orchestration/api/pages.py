"""The two pages: the list of executions, and one execution live.

They are the same for everybody and have no data: their scripts ask the API, with a token if it wants one. They need
nothing from elsewhere, and their Content-Security-Policy lets no script or style run but their own, by their hashes
(CSP Level 3); what they show reaches them as JSON and the page as text nodes.
"""

import base64
import hashlib
import re
from functools import lru_cache
from importlib import resources

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response


def is_wanted(request: Request) -> bool:
    """Whether a browser asks for a page: it names text/html first, a program that asks for JSON does not."""
    first = request.headers.get("accept", "").partition(",")[0]
    return first.partition(";")[0].strip().lower() == "text/html"


def list_page(_: Request) -> Response:
    """The page of `GET /`."""
    return _page("Executions", "executions.js")


def execution_page(_: Request) -> Response:
    """The page of `GET /workflows/{execution_id}`; it learns the id from its own address."""
    return _page("Execution", "execution.js")


def _page(title: str, script: str) -> Response:
    content, policy = _made(title, script)
    return HTMLResponse(content, headers={"Content-Security-Policy": policy, "Vary": "Accept"})


@lru_cache(maxsize=2)
def _made(title: str, script_name: str) -> tuple[str, str]:
    script, style = f"{_part('page.js')}\n{_part(script_name)}", _part("page.css")
    parts = {"title": title, "style": style, "script": script}
    policy = (
        f"default-src 'none'; script-src {_source(script)}; style-src {_source(style)}; img-src data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _part("page.html")), policy


def _part(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _source(code: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"
