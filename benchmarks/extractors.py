"""Extractors that find nothing, after what the document's first line asks for.

`wait 0.5` waits in each activity; `hear 20 FILE` receives so many signals in the first one, and writes when to a file.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from beep_orchestration.extraction.model import Candidate, Chunk, Entity, Mention, Relation
from beep_orchestration.extraction.ontology import Ontology
from beep_orchestration.extraction.protocols import Extractors
from beep_orchestration.signals import receive

SIGNAL = "approve"


class IdleMentions:
    identity = "idle-1"

    def extract_mentions(self, text: str, chunk: Chunk, ontology: Ontology) -> list[Mention]:  # noqa: ARG002
        wait(text)
        if chunk.index == 0:
            hear(text)
        return []


class IdleEntities:
    identity = "idle-1"

    def classify_entities(self, text: str, candidates: Sequence[Candidate], ontology: Ontology) -> list[Entity]:  # noqa: ARG002
        wait(text)
        return []


class IdleRelations:
    identity = "idle-1"

    def extract_relations(
        self,
        text: str,
        chunk: Chunk,  # noqa: ARG002
        entities: Sequence[Entity],  # noqa: ARG002
        ontology: Ontology,  # noqa: ARG002
    ) -> list[Relation]:
        wait(text)
        return []


def idle_extractors() -> Extractors:
    return Extractors(IdleMentions(), IdleEntities(), IdleRelations())


def wait(text: str) -> None:
    if text.startswith("wait "):
        time.sleep(float(text[5 : text.index("\n")]))


def hear(text: str) -> None:
    if text.startswith("hear "):
        _, count, file = text[: text.index("\n")].split(maxsplit=2)
        for _ in range(int(count)):
            receive(SIGNAL)
            with Path(file).open("a") as heard:
                heard.write(f"{time.time()}\n")
