"""The connection to the webserver is kept from one question to the next."""

import time
from typing import Any

from gql.transport.requests import RequestsHTTPTransport

_TRUSTED_SECONDS = 2.0
"""Less than a webserver keeps an idle connection: one that it is about to close would lose the next question."""


class KeptConnection(RequestsHTTPTransport):
    """As its base, which opens a connection for each question, except that one is used again within two seconds."""

    def __init__(self, url: str, *, timeout: int) -> None:
        super().__init__(url=url, use_json=True, timeout=timeout)
        self._used_at = 0.0

    def connect(self) -> None:
        """Called before each question."""
        if self.session is not None and time.monotonic() - self._used_at > _TRUSTED_SECONDS:
            super().close()  # type: ignore[no-untyped-call]
        if self.session is None:
            super().connect()  # type: ignore[no-untyped-call]

    def execute(self, *arguments: Any, **options: Any) -> Any:
        """As in the base."""
        try:
            return super().execute(*arguments, **options)
        finally:
            self._used_at = time.monotonic()

    def close(self) -> None:
        """Called after each question."""
