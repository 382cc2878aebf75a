"""A chunk as prose: its text without markup, in blocks, each code point knowing where in the document it stands.

A block is what belongs together for a reader: a paragraph, a heading, a list item, a table cell. Inside a block white
space is one blank and character references are resolved; invisible format characters are left out.
"""

import html
import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator

from beep_orchestration.extraction.markup import breaks_text, hidden_stretches
from beep_orchestration.extraction.model import Chunk, Span

_PIECE = re.compile(
    r"(?P<reference>&(?:\#\d{1,7}|\#x[0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});)"
    r"|(?P<break>[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+)"
    r"|(?P<space>[^\S\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+)"
    r"|(?P<invisible>[\x00-\x1f\x7f-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]+)"
)
_PARAGRAPH = re.compile(r"\n[^\n]*\n|\r[^\r\n]*\r|\r\n[^\n]*\r\n")
_LINE = re.compile(r"[\r\n]")
_SHORT_LINE = 40  # a shorter line is a title or an entry, not text that was wrapped


class Block:
    """A stretch of prose. `text[i]` stands at `starts[i]:ends[i]` of the document."""

    __slots__ = ("ends", "starts", "text")

    def __init__(self, text: str, starts: "array[int]", ends: "array[int]") -> None:
        self.text = text
        self.starts = starts
        self.ends = ends

    def span(self, start: int, end: int) -> Span:
        """Where in the document `self.text[start:end]` (not empty) stands."""
        return Span(start=self.starts[start], end=self.ends[end - 1])

    def find(self, start: int, end: int) -> tuple[int, int] | None:
        """Where in `self.text` that stretch of the document stands; None unless the block has all of it."""
        if not (self.starts[0] <= start < end <= self.ends[-1]):
            return None
        return bisect_left(self.starts, start), bisect_left(self.ends, end) + 1


class _Builder:
    def __init__(self) -> None:
        self._parts: list[str] = []
        self._starts = array("q")
        self._ends = array("q")

    def add_run(self, run: str, start: int) -> None:
        if run:
            self._parts.append(run)
            self._starts.extend(range(start, start + len(run)))
            self._ends.extend(range(start + 1, start + len(run) + 1))

    def add_one(self, character: str, start: int, end: int) -> None:
        self._parts.append(character)
        self._starts.append(start)
        self._ends.append(end)

    def add_blank(self, start: int, end: int) -> None:
        if self._parts and not self._parts[-1].endswith(" "):
            self.add_one(" ", start, end)

    def finish(self) -> Iterator[Block]:
        text = "".join(self._parts)
        if text.strip():
            yield Block(text, self._starts, self._ends)
        self.__init__()  # type: ignore[misc]


def blocks(text: str, chunk: Chunk) -> Iterator[Block]:
    """The prose of one chunk of the document. Reads nothing outside the chunk."""
    builder = _Builder()
    line_start = chunk.start
    for start, end, visible in _stretches(chunk):
        if not visible:
            if breaks_text(text[start:end]):
                yield from builder.finish()
            continue
        position = start
        for piece in _PIECE.finditer(text, start, end):
            builder.add_run(text[position : piece.start()], position)
            position = piece.end()
            if _ends_block(piece, line_start):
                yield from builder.finish()
            else:
                _add_piece(builder, piece)
            if _LINE.search(piece.group()):
                line_start = piece.end()
        builder.add_run(text[position:end], position)
    yield from builder.finish()


def plain(text: str, hidden: Iterable[tuple[int, int]] = ()) -> str:
    """The text as one line of prose."""
    chunk = Chunk(start=0, end=len(text), index=0, hidden=tuple(Span(start=start, end=end) for start, end in hidden))
    return " ".join(block.text.strip() for block in blocks(text, chunk))


def as_read(text: str) -> str:
    """A stretch of a document as people read it, on one line; as it is if it is nothing but markup or code."""
    hidden = list(hidden_stretches(text))
    return (plain(text, hidden) if hidden else "") or " ".join(text.split())


def _stretches(chunk: Chunk) -> Iterator[tuple[int, int, bool]]:
    position = chunk.start
    for span in chunk.hidden:
        yield position, span.start, True
        yield span.start, span.end, False
        position = span.end
    yield position, chunk.end, True


def _ends_block(piece: re.Match[str], line_start: int) -> bool:
    if piece.lastgroup == "break":
        return True
    if piece.lastgroup != "space" or not _LINE.search(piece.group()):
        return False
    return _PARAGRAPH.search(piece.group()) is not None or piece.start() - line_start < _SHORT_LINE


def _add_piece(builder: _Builder, piece: re.Match[str]) -> None:
    if piece.lastgroup == "space":
        builder.add_blank(piece.start(), piece.end())
    elif piece.lastgroup == "reference":
        _add_reference(builder, piece)


def _add_reference(builder: _Builder, piece: re.Match[str]) -> None:
    character = html.unescape(piece.group())
    if len(character) == 1 and character.isspace():
        builder.add_blank(piece.start(), piece.end())
    elif len(character) == 1 and character.isprintable():
        builder.add_one(character, piece.start(), piece.end())
    else:
        builder.add_run(piece.group(), piece.start())
