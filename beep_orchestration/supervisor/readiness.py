"""What the webserver says of the services: whether the code location is loaded and every daemon beats."""

import json
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

QUERY = """
query BeepReadiness {
  version
  workspaceOrError {
    __typename
    ... on Workspace {
      locationEntries { name loadStatus locationOrLoadError { __typename ... on PythonError { message } } }
    }
    ... on PythonError { message }
  }
  instance { daemonHealth { allDaemonStatuses { daemonType required lastHeartbeatTime } } }
}
"""
# No proxy: the webserver is on this machine or in its network.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Readiness:
    """One answer of the webserver. `location_error` is None if the code location is loaded.

    Heartbeats are Unix seconds by daemon type, of those that the instance requires; None for one that never beat.
    """

    version: str
    location_error: str | None
    heartbeats: dict[str, float | None]

    def silent_since(self, moment: float) -> list[str]:
        """The daemons that did not beat after that moment."""
        return sorted(name for name, beat in self.heartbeats.items() if beat is None or beat < moment)


def find_readiness(url: str, code_location: str, *, timeout_seconds: float = 5.0) -> Readiness | None:
    """What the webserver at that URL says, None if no Dagster webserver answers there."""
    try:
        answer = _ask(url, {"query": QUERY}, timeout_seconds)["data"]
        statuses = answer["instance"]["daemonHealth"]["allDaemonStatuses"]
        return Readiness(
            version=answer["version"],
            location_error=_location_error(answer["workspaceOrError"], code_location),
            heartbeats={status["daemonType"]: status["lastHeartbeatTime"] for status in statuses if status["required"]},
        )
    except (OSError, HTTPException, ValueError, KeyError, TypeError):
        return None  # nobody listens, or something else does


def _ask(url: str, body: dict[str, Any], timeout_seconds: float) -> Any:
    request = urllib.request.Request(  # noqa: S310 - the URL is ours and begins with http
        f"{url}/graphql", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with _opener.open(request, timeout=timeout_seconds) as response:
        return json.load(response)


def _location_error(workspace: dict[str, Any], code_location: str) -> str | None:
    if workspace["__typename"] == "PythonError":
        return str(workspace["message"])
    for entry in workspace["locationEntries"]:
        if entry["name"] == code_location:
            loaded = entry["locationOrLoadError"]
            if entry["loadStatus"] == "LOADING" or loaded is None:
                return "it is being loaded"
            return str(loaded["message"]) if loaded["__typename"] == "PythonError" else None
    return f"the webserver does not know a code location {code_location!r}"
