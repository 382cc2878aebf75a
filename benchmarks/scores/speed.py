"""How fast an extractor reads, and what memory it takes."""

import re
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from beep_orchestration.extraction import Extractors, extract
from beep_orchestration.extraction.model import ExtractionInput

_TOKEN = re.compile(r"\w+|[^\w\s]")
_MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Speed:
    """Tokens are words and marks. Memory is in megabytes: the process's peak, and what it holds more afterwards."""

    documents: int
    tokens: int
    seconds: float
    tokens_per_second: float
    tokens_per_cpu_second: float
    peak_memory: float
    memory_growth_per_document: float


def measure(texts: Sequence[str], extractors: Extractors) -> Speed:
    """Extract from the texts, one after the other, after a first one that loads what is to be loaded."""
    _extract(texts[0], extractors)
    before = psutil.Process().memory_info().rss
    started, started_cpu = time.perf_counter(), time.process_time()
    for text in texts:
        _extract(text, extractors)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - started_cpu
    after = psutil.Process().memory_info().rss
    tokens = sum(len(_TOKEN.findall(text)) for text in texts)
    return Speed(
        documents=len(texts),
        tokens=tokens,
        seconds=seconds,
        tokens_per_second=tokens / seconds,
        tokens_per_cpu_second=tokens / cpu_seconds,
        peak_memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024 / _MEGABYTE,
        memory_growth_per_document=max(0, after - before) / _MEGABYTE / len(texts),
    )


def _extract(text: str, extractors: Extractors) -> None:
    extract(ExtractionInput(document_id="document", text=text), extractors)
