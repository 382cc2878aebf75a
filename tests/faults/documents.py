"""Made-up documents of a wanted number of chunks, different for each number and seed."""

import random

from beep_orchestration.extraction import chunk_text
from beep_orchestration.extraction.model import ExtractionOptions
from beep_orchestration.models import Json

OPTIONS = ExtractionOptions(chunk_size=200, chunk_overlap=20, batch_size=10, concurrency=2)

_FIRST = ["Ada", "Alan", "Grace", "Edsger", "Barbara", "Donald", "Tony", "Niklaus", "Frances", "Jean", "Radia"]
_LAST = ["Brook", "Field", "Hill", "Lake", "Marsh", "Moor", "Stone", "Wood", "Dale", "Ford", "Grove", "Heath", "Lane"]
_VERBS = ["met", "taught", "hired", "followed", "praised", "answered", "visited", "quoted", "joined", "left", "funded"]


def document(chunks: int, seed: int = 0, *, concurrency: int = 2) -> Json:
    """An input of the extraction workflow that is cut into that many chunks."""
    options = OPTIONS.model_copy(update={"concurrency": concurrency})
    source = random.Random(f"{chunks}-{seed}")  # noqa: S311 - made-up text
    text = ""
    while not text or len(chunk_text(text, options)) < chunks:
        text += _sentence(source)
    return {"document_id": f"document-{chunks}-{seed}", "text": text, "options": options.model_dump()}


def _sentence(source: random.Random) -> str:
    one, other = (f"{source.choice(_FIRST)} {source.choice(_LAST)}" for _ in range(2))
    return f"{one} {source.choice(_VERBS)} {other} in the year {source.randrange(1900, 2000)}. "
