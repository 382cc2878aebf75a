"""Documents of a known number of chunks."""

from typing import Any

from beep_orchestration.extraction.chunking import chunk_text
from beep_orchestration.extraction.model import ExtractionOptions

CHUNK_SIZE = 200
_SENTENCE = "Ada Lovelace met Charles Babbage in London, and Alan Turing studied in Cambridge. "


def document(
    chunks: int, *, wait_seconds: float = 0, first_line: str = "", concurrency: int = 4, chunk_size: int = CHUNK_SIZE
) -> dict[str, Any]:
    """An input that is cut into exactly that many chunks; its first line may tell the idle extractors what to do."""
    first = f"wait {wait_seconds}\n" if wait_seconds else first_line
    options = {"chunk_size": chunk_size, "chunk_overlap": 0, "concurrency": concurrency}
    return {"document_id": f"{chunks}-chunks", "text": _text(first, chunks, options), "options": options}


def _text(first: str, chunks: int, options: dict[str, Any]) -> str:
    parsed = ExtractionOptions(**options)
    length = int(options["chunk_size"] * chunks * 0.98)
    text = first + (_SENTENCE * (length // len(_SENTENCE) * 2 + 2))
    found = chunk_text(text, parsed)
    return text[: found[chunks - 1].end]
