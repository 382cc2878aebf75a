"""HTTP: what `WorkflowService` does, as a JSON API with an OpenAPI document, an event stream and two pages.

Reading order: `operations` (what there is), `endpoints` (how a request becomes a call of one), `access` (who may),
`problems` (how one is refused), `progress_stream` (Server-Sent Events), `openapi`, `pages`, `application` (all of it
together) and `server` (its process).
"""

from beep_orchestration.api.server import serve

__all__ = ["serve"]
