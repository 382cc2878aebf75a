"""Documents of a known number of chunks."""

from pathlib import Path
from typing import Any

from beep_orchestration.extraction.chunking import chunk_text
from beep_orchestration.extraction.model import ExtractionOptions

CHUNK_SIZE = 200
PROSE = "prose"
_EXAMPLES = Path(__file__).parents[1] / "examples" / "documents"
_SENTENCE = "Ada Lovelace met Charles Babbage in London, and Alan Turing studied in Cambridge. "


def document(
    chunks: int, *, wait_seconds: float = 0, first_line: str = "", concurrency: int = 4, chunk_size: int = CHUNK_SIZE
) -> dict[str, Any]:
    """An input that is cut into exactly that many chunks; its first line may tell the idle extractors what to do."""
    first = f"wait {wait_seconds}\n" if wait_seconds else first_line
    options = {"chunk_size": chunk_size, "chunk_overlap": 0, "concurrency": concurrency}
    return {"document_id": f"{chunks}-chunks", "text": _text(first, chunks, options), "options": options}


def prose(chunks: int) -> dict[str, Any]:
    """An input of that many chunks of usual size, from the example documents one after the other, again and again.

    The extractors that it names are the ones that work on it.
    """
    options = ExtractionOptions()
    once = "\n\n".join(file.read_text(encoding="utf-8") for file in sorted(_EXAMPLES.glob("*.txt")))
    text = "\n\n".join([once] * (chunks * options.chunk_size // len(once) + 2))
    cut = text[: chunk_text(text, options)[chunks - 1].end]
    return {"document_id": f"{PROSE}-{chunks}-chunks", "text": cut}


def _text(first: str, chunks: int, options: dict[str, Any]) -> str:
    parsed = ExtractionOptions(**options)
    length = int(options["chunk_size"] * chunks * 0.98)
    text = first + (_SENTENCE * (length // len(_SENTENCE) * 2 + 2))
    found = chunk_text(text, parsed)
    return text[: found[chunks - 1].end]
