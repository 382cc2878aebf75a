"""Questions to the webserver share a connection, and none is lost by that."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from beep_orchestration.dagster_client import DagsterClient
from beep_orchestration.engine import kept_connection
from tests.waiting import wait_until

ANSWER = json.dumps({"data": {"launchPipelineExecution": {"__typename": "LaunchRunSuccess", "run": {"runId": "r"}}}})


class Webserver(ThreadingHTTPServer):
    """Launches nothing, and notes from which connection each question comes."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.connections: list[tuple[str, int]] = []
        self.closes_after_an_answer = False
        self.closed = 0

    def shutdown_request(self, request: Any) -> None:
        """Called at the end of a connection."""
        super().shutdown_request(request)
        self.closed += 1

    @property
    def client(self) -> DagsterClient:
        return DagsterClient("127.0.0.1", self.server_port, code_location="location", timeout_seconds=30)


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Webserver

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.connections.append(self.client_address)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER.encode())
        self.close_connection = self.server.closes_after_an_answer

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def webserver() -> Iterator[Webserver]:
    with Webserver() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_questions_in_a_row_share_a_connection(webserver: Webserver) -> None:
    client = webserver.client
    assert [client.launch("extraction", {}) for _ in range(5)] == ["r"] * 5
    assert len(webserver.connections) == 5
    assert len(set(webserver.connections)) == 1


def test_a_connection_that_was_idle_for_long_is_not_trusted(
    webserver: Webserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_connection, "_TRUSTED_SECONDS", -1.0)
    client = webserver.client
    assert [client.launch("extraction", {}) for _ in range(3)] == ["r"] * 3
    assert len(set(webserver.connections)) == 3


def test_a_connection_that_the_webserver_has_closed_is_opened_again(webserver: Webserver) -> None:
    webserver.closes_after_an_answer = True
    client = webserver.client
    for number in range(1, 4):
        assert client.launch("extraction", {}) == "r"
        wait_until(lambda: webserver.closed, description="the connection is closed")
        webserver.closed = 0
        assert len(webserver.connections) == number
