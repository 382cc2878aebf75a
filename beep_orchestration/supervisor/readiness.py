"""What the webserver says of the services: whether the code location is loaded, now or anew, and every daemon beats."""

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
      locationEntries {
        name
        loadStatus
        locationOrLoadError {
          __typename
          ... on RepositoryLocation { repositories { jobs { name } } }
          ... on PythonError { message }
        }
      }
    }
    ... on PythonError { message }
  }
  instance { daemonHealth { allDaemonStatuses { daemonType required lastHeartbeatTime } } }
}
"""
RELOAD = """
mutation BeepReload($name: String!) {
  reloadRepositoryLocation(repositoryLocationName: $name) {
    __typename
    ... on WorkspaceLocationEntry { locationOrLoadError { __typename ... on PythonError { message } } }
    ... on ReloadNotSupported { message }
    ... on RepositoryLocationNotFound { message }
    ... on UnauthorizedError { message }
    ... on PythonError { message }
  }
}
"""
_RELOAD_SECONDS = 120.0
# No proxy: the webserver is on this machine or in its network.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Readiness:
    """One answer of the webserver. `location_error` is None if the code location is loaded.

    `jobs` are the names of those that can be launched, in whichever code location they are. Heartbeats are Unix seconds
    by daemon type, of those that the instance requires; None for one that never beat.
    """

    version: str
    location_error: str | None
    jobs: frozenset[str]
    heartbeats: dict[str, float | None]

    def silent_since(self, moment: float) -> list[str]:
        """The daemons that did not beat after that moment."""
        return sorted(name for name, beat in self.heartbeats.items() if beat is None or beat < moment)


def find_readiness(url: str, code_location: str, *, timeout_seconds: float = 5.0) -> Readiness | None:
    """What the webserver at that URL says, None if no Dagster webserver answers there."""
    try:
        answer = ask(url, {"query": QUERY}, timeout_seconds)["data"]
        statuses = answer["instance"]["daemonHealth"]["allDaemonStatuses"]
        return Readiness(
            version=answer["version"],
            location_error=_location_error(answer["workspaceOrError"], code_location),
            jobs=_jobs(answer["workspaceOrError"]),
            heartbeats={status["daemonType"]: status["lastHeartbeatTime"] for status in statuses if status["required"]},
        )
    except (OSError, HTTPException, ValueError, KeyError, TypeError):
        return None  # nobody listens, or something else does


def is_api_ready(url: str, *, timeout_seconds: float = 5.0) -> bool:
    """Whether the HTTP API and its database answer at that URL."""
    try:
        with _opener.open(f"{url}/health", timeout=timeout_seconds) as response:
            return bool(json.load(response) == {"status": "ok"})
    except (OSError, HTTPException, ValueError):
        return False


def reload_code_location(url: str, code_location: str) -> str | None:
    """Have the code location loaded anew, as the UI's button does; what is wrong with it, None if it is loaded."""
    try:
        body = {"query": RELOAD, "variables": {"name": code_location}}
        answer = ask(url, body, _RELOAD_SECONDS)["data"]["reloadRepositoryLocation"]
        loaded = answer if answer["__typename"] != "WorkspaceLocationEntry" else answer["locationOrLoadError"]
        return (
            None if loaded["__typename"] == "RepositoryLocation" else f"it does not load: {loaded['message'].strip()}"
        )
    except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
        return f"the webserver at {url} cannot be asked to load it ({type(error).__name__})"


def ask(url: str, body: dict[str, Any], timeout_seconds: float) -> Any:
    """The webserver's answer to a GraphQL request; raises `OSError`, `HTTPException` or `ValueError` without one."""
    request = urllib.request.Request(  # noqa: S310 - the URL is ours and begins with http
        f"{url}/graphql", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with _opener.open(request, timeout=timeout_seconds) as response:
        return json.load(response)


def _jobs(workspace: dict[str, Any]) -> frozenset[str]:
    loaded = (entry["locationOrLoadError"] or {} for entry in workspace.get("locationEntries", ()))
    repositories = (repository for location in loaded for repository in location.get("repositories", ()))
    return frozenset(job["name"] for repository in repositories for job in repository["jobs"])


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
