"""An endpoint compatible with OpenAI's that answers by simple rules, unless a fault is due, and keeps account.

Names are capitalised words, types follow from the name, and facts join neighbours, so the same question always has the
same answer. The account is what a provider's bill would be: who was asked what, and what was paid.
"""

import asyncio
import json
import re
import socket
import threading
import zlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from beep_orchestration.extraction.llm.prompts import NONE
from beep_orchestration.extraction.ontology import THING
from tests.waiting import wait_until

KEY = "sk-endpoint-of-the-tests"
NAME = re.compile(r"[A-Z][a-z]+(?: [A-Z][a-z]+)*")
LABELS = ("PERSON", "ORG", "GPE")


class Fault(StrEnum):
    """What goes wrong with one call."""

    BUSY = "429 with Retry-After"
    AWAY = "503"
    BROKEN = "500"
    HANG = "no answer at all"
    SLOW = "an answer that takes its time"
    TRUNCATED = "JSON that ends in the middle, at the limit of tokens"
    INVALID = "no JSON"
    REPEATED = "repeated keys"
    HALF = "half of an answer's bytes, then the connection ends"
    NO_COMPLETION = "JSON, but no completion"
    BAD_KEY = "401"
    BAD_QUESTION = "400"


FREE: frozenset[Fault | None] = frozenset({Fault.BUSY, Fault.AWAY, Fault.BROKEN, Fault.BAD_KEY, Fault.BAD_QUESTION})
PASSING = [fault for fault in Fault if fault not in (Fault.BAD_KEY, Fault.BAD_QUESTION)]
"""Faults after which asking again helps."""


@dataclass(frozen=True)
class Call:
    """A question that arrived, and the fault that its answer met."""

    question: str
    fault: Fault | None

    @property
    def is_paid(self) -> bool:
        """Whether a provider would charge for it."""
        return self.fault not in FREE

    @property
    def is_answered(self) -> bool:
        """Whether a whole and usable answer was sent."""
        return self.fault in (None, Fault.SLOW)


@dataclass
class Endpoint:
    """The account, and what is to go wrong: `plan` names the fault of a question's n-th try, counted from 0.

    The first `gathered` calls are answered when all of them are there.
    """

    port: int = 0
    plan: Callable[[str, int], Fault | None] = lambda _question, _tries: None
    retry_after: str = "0"
    gathered: int = 0
    hung_up: int = 0
    calls: list[Call] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    most_at_once: int = 0
    answer: Callable[[Mapping[str, Any]], str] | None = None
    _tries: Counter[str] = field(default_factory=Counter)
    _at_once: int = 0
    _are_gathered: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """What BEEP_LLM_BASE_URL has to be."""
        return f"http://127.0.0.1:{self.port}/v1"

    def answers_by_question(self) -> Counter[str]:
        """How many whole answers each question got: one is right."""
        return Counter(call.question for call in self.calls if call.is_answered)

    def paid(self) -> int:
        """How many calls a provider would charge for."""
        return sum(call.is_paid for call in self.calls)

    async def complete(self, request: Request) -> Response:
        body = await request.json()
        question = json.dumps(body["messages"])
        fault = self.plan(question, self._tries[question])
        if request.headers.get("authorization") != f"Bearer {KEY}":
            fault = Fault.BAD_KEY
        self._tries[question] += 1
        self.calls.append(Call(question, fault))
        self.bodies.append(body)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            if len(self.calls) >= self.gathered:
                self._are_gathered.set()
            await self._are_gathered.wait()
            if fault is Fault.HANG:
                await request.receive()  # what comes after the question is the end of the connection
                self.hung_up += 1
            return await self._response(body, fault)
        finally:
            self._at_once -= 1

    async def _response(self, body: Mapping[str, Any], fault: Fault | None) -> Response:
        content = self.answer(body) if self.answer else honest_answer(body)
        if fault in FREE:
            return _refusal(fault, self.retry_after)
        if fault is Fault.SLOW:
            await asyncio.sleep(0.3)  # the fault itself
        if fault is Fault.HALF:
            return _half(_completion(content))
        return JSONResponse(_spoilt(content, fault))


@contextmanager
def endpoint(**settings: Any) -> Iterator[Endpoint]:
    """An endpoint on loopback, in a thread of this process."""
    made = Endpoint(**settings)
    listening = socket.create_server(("127.0.0.1", 0))
    made.port = listening.getsockname()[1]
    app = Starlette(routes=[Route("/v1/chat/completions", made.complete, methods=["POST"])])
    config = uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=0)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])), daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield made
    finally:
        server.should_exit = True
        thread.join(10)


class PlanOfEach:
    """Each question meets its own faults, one per try, before it is answered: the listed ones in turn."""

    def __init__(self, faults: Sequence[Fault], *, per_question: int = 1) -> None:
        self._faults = faults
        self._per_question = per_question
        self._given: dict[str, list[Fault]] = defaultdict(list)
        self._next = 0

    def __call__(self, question: str, tries: int) -> Fault | None:
        if question not in self._given:
            for _ in range(self._per_question):
                self._given[question].append(self._faults[self._next % len(self._faults)])
                self._next += 1
        given = self._given[question]
        return given[tries] if tries < len(given) else None


def honest_answer(body: Mapping[str, Any]) -> str:
    """What the rules make of a question."""
    schema = _schema(body)
    parts = _within_marks(str(body["messages"][-1]["content"]))
    if "mentions" in schema:
        return json.dumps({"mentions": _mentions(parts["Document:"])})
    if "entities" in schema:
        return json.dumps(
            {"entities": _types(parts["Candidates, and where the document names them:"], schema["entities"])}
        )
    entities, sentences = parts["Entities:"], parts["Sentences:"]
    return json.dumps({"facts": _facts(entities, sentences, schema["facts"])})


def _schema(body: Mapping[str, Any]) -> dict[str, list[str]]:
    """The answer's only field, and the names that the schema allows in it."""
    schema = body["response_format"]["json_schema"]["schema"]
    (name,) = schema["properties"]
    (item,) = schema["$defs"].values()
    values = [value["enum"] for key, value in item["properties"].items() if key in ("type", "relation")]
    return {name: values[0] if values else []}


def _within_marks(material: str) -> dict[str, str]:
    """What stands within marks, by its title."""
    parts = re.finditer(r"^([^\n]+)\n<(document-[0-9a-f]+)>\n(.*?)\n</\2>", material, re.DOTALL | re.MULTILINE)
    return {found[1]: found[3] for found in parts}


def _mentions(text: str) -> list[dict[str, str]]:
    names = dict.fromkeys(found.group() for found in NAME.finditer(text))
    return [{"name": name, "label": LABELS[_number(name) % len(LABELS)]} for name in names]


def _types(candidates: str, allowed: Sequence[str]) -> list[dict[str, Any]]:
    types = [name for name in allowed if name not in (THING, NONE)]
    return [
        {"number": int(found["number"]), "type": types[_number(found["name"]) % len(types)]}
        for found in re.finditer(r"^(?P<number>\d+)\. (?P<name>.*?)(?: \(also .*)?$", candidates, re.MULTILINE)
    ]


def _facts(entities: str, sentences: str, allowed: Sequence[str]) -> list[dict[str, Any]]:
    names = {
        found["name"]: int(found["number"])
        for found in re.finditer(r"^(?P<number>\d+)\. (?P<name>.*?) \[", entities, re.MULTILINE)
    }
    facts = []
    for found in re.finditer(r"^\[(?P<number>\d+)\] (?P<text>.*)$", sentences, re.MULTILINE):
        present = [number for name, number in names.items() if name in found["text"]]
        facts += [
            {"subject": one, "relation": relation, "object": other, "sentence": int(found["number"])}
            for one, other in pairwise(present)
            for relation in allowed
        ]
    return facts


def _completion(content: str, finish_reason: str = "stop") -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "rules",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish_reason}],
        "usage": {
            "prompt_tokens": 100,
            "completion_tokens": len(content) // 4,
            "total_tokens": 100 + len(content) // 4,
        },
    }


def _refusal(fault: Fault | None, retry_after: str) -> Response:
    later = {"Retry-After": retry_after}
    match fault:
        case Fault.BUSY:
            return _error(429, "rate_limit_exceeded", headers=later)
        case Fault.AWAY:
            return _error(503, "overloaded", headers=later)
        case Fault.BAD_KEY:
            return _error(401, "invalid_api_key", f"Incorrect API key provided: {KEY}")
        case Fault.BAD_QUESTION:
            return _error(400, "invalid_request_error", "no such parameter")
        case _:
            return _error(500, "server_error")


def _spoilt(content: str, fault: Fault | None) -> dict[str, Any]:
    """A completion with the content, or with what the fault makes of it."""
    match fault:
        case Fault.TRUNCATED:
            return _completion(content[: len(content) // 2], finish_reason="length")
        case Fault.INVALID:
            return _completion("Certainly! Here are the names that you asked for.")
        case Fault.REPEATED:
            return _completion(content[:-1] + "," + content[1:])
        case Fault.NO_COMPLETION:
            return {"object": "chat.completion", "choices": []}
        case _:
            return _completion(content)


def _error(status: int, code: str, message: str = "no", headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"error": {"message": message, "code": code, "type": code}}, status, headers)


def _half(completion: Mapping[str, Any]) -> Response:
    """A stream that promises all bytes and ends after half of them."""
    data = json.dumps(completion).encode()

    async def body() -> AsyncIterator[bytes]:
        yield data[: len(data) // 2]

    return StreamingResponse(body(), headers={"content-length": str(len(data)), "content-type": "application/json"})


def _number(name: str) -> int:
    return zlib.crc32(name.encode())
