"""Cutting a document into chunks: at paragraphs, else sentences, else words, else between visible characters.

Guarantees: every code point is in a chunk, a chunk is at most `chunk_size` long, neighbours overlap by at most
`chunk_overlap`, and time and memory are linear in the text, whatever it looks like.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import takewhile

from beep_orchestration.extraction.graphemes import cut_before, splits_cluster
from beep_orchestration.extraction.markup import hidden_stretches
from beep_orchestration.extraction.model import Chunk, ExtractionOptions, Span

_PARAGRAPH_END = re.compile(r"(?:\r\n|[\n\r\x85\u2028])[ \t]{0,80}(?:\r\n|[\n\r\x85\u2028])+|\u2029+")
_SENTENCE_END = re.compile(r"[.!?…][\"'”’»)\]]{0,3}\s+|[。！？]")
_LINE_END = re.compile(r"\r\n|[\n\r\x0b\x0c\x85\u2028]")
_WORD_END = re.compile(r"\s+")
_ENDS = (_PARAGRAPH_END, _SENTENCE_END, _LINE_END, _WORD_END)


LEAD_IN = 600
"""How much text before a chunk may be read to know what its first pronouns refer to, in code points."""


def chunk_text(text: str, options: ExtractionOptions) -> list[Chunk]:
    """Cut the whole text; see the module for what holds. An empty text has no chunk."""
    spans = list(_spans(text, options.chunk_size, options.chunk_overlap))
    hidden = list(hidden_stretches(text))
    ends = [end for _, end in hidden]
    return [
        Chunk(start=start, end=end, index=index, hidden=_clip(hidden, bisect_right(ends, start), start, end))
        for index, (start, end) in enumerate(spans)
    ]


def _spans(text: str, size: int, overlap: int) -> list[tuple[int, int]]:
    spans = []
    start = 0
    while start < len(text):
        end = _end_of_chunk(text, start, size, overlap)
        spans.append((start, end))
        start = end if end == len(text) else _start_of_next(text, start, end, overlap)
    return spans


def _end_of_chunk(text: str, start: int, size: int, overlap: int) -> int:
    limit = start + size
    if limit >= len(text):
        return len(text)
    # At least half of what follows the overlap is kept, so that every chunk moves on by a quarter of its size.
    earliest = start + overlap + (size - overlap) // 2
    for pattern in _ENDS:
        ends = (found.end() for found in pattern.finditer(text, earliest, limit))
        whole = [end for end in ends if not splits_cluster(text, end, start)]
        if whole:
            return whole[-1]
    return cut_before(text, limit, start)


def _start_of_next(text: str, start: int, end: int, overlap: int) -> int:
    """The overlap begins with a whole sentence, or else with a whole word."""
    earliest = end - overlap
    for pattern in (_PARAGRAPH_END, _SENTENCE_END, _WORD_END):
        for found in pattern.finditer(text, earliest, end):
            if found.end() < end and not splits_cluster(text, found.end(), start):
                return found.end()
    return end


def _clip(hidden: Sequence[tuple[int, int]], first: int, start: int, end: int) -> tuple[Span, ...]:
    inside = takewhile(lambda stretch: stretch[0] < end, (hidden[index] for index in range(first, len(hidden))))
    return tuple(Span(start=max(left, start), end=min(right, end)) for left, right in inside)


def with_lead_in(text: str, chunk: Chunk) -> Chunk:
    """The chunk and the sentences just before it."""
    earliest = max(0, chunk.start - LEAD_IN)
    found = _SENTENCE_END.search(text, earliest, chunk.start) if earliest else None
    start = found.end() if found else earliest
    lead_in = text[start : chunk.start]
    before = (Span(start=start + first, end=start + last) for first, last in hidden_stretches(lead_in))
    return Chunk(start=start, end=chunk.end, index=chunk.index, hidden=(*before, *chunk.hidden))
