"""A random sample of what the local extractor finds in the example documents, to be judged by reading them.

`python -m benchmarks.scores.sample` prints the rows of the table in `docs/sample.md`, but for the verdict.
"""

import argparse
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from beep_orchestration.extraction import decode_document, extract
from beep_orchestration.extraction.model import ExtractionInput

DOCUMENTS = Path(__file__).parents[2] / "examples" / "documents"


class Fact(NamedTuple):
    """A relation of a document's graph, and the first sentence that states it."""

    document: str
    subject: str
    predicate: str
    object: str
    sentence: str


def facts(document: Path) -> Iterator[Fact]:
    """All relations that the local extractor finds in a document."""
    text = decode_document(document.read_bytes())
    graph = extract(ExtractionInput(document_id=document.stem, text=text))
    names = {entity.id: entity.name for entity in graph.entities}
    for found in graph.relations:
        span = found.evidence[0]
        sentence = " ".join(text[span.start : span.end].split())
        yield Fact(document.stem, names[found.subject], found.predicate, names[found.object], sentence)


def main() -> None:
    """Print a sample."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scores.sample")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=6)
    arguments = parser.parse_args()
    found = [fact for document in sorted(DOCUMENTS.glob("*.txt")) for fact in facts(document)]
    print(f"{arguments.count} of {len(found)} relations, seed {arguments.seed}")
    for fact in sorted(random.Random(arguments.seed).sample(found, arguments.count)):  # noqa: S311 - not for secrecy
        print(f"| {fact.document} | {fact.subject} | {fact.predicate} | {fact.object} | {fact.sentence} |")


if __name__ == "__main__":
    main()
