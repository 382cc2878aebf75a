"""The pages of the project as tests read them: their code, links, tables and sections."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^|\n)((?:    \S.*\n)+)")
_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def text(self) -> str:
        """All of it."""
        return self.path.read_text(encoding="utf-8")

    @property
    def prose(self) -> str:
        """All but fenced blocks."""
        return _FENCE.sub("", self.text)

    def blocks(self, language: str) -> list[str]:
        """The fenced blocks in a language."""
        return [content for found, content in _FENCE.findall(self.text) if found == language]

    def inline_code(self) -> list[str]:
        """What stands between backticks."""
        return _INLINE.findall(self.prose)

    def command_lines(self) -> list[str]:
        """What a reader is told to type: lines of indented blocks, and inline code."""
        lines = [line.strip() for block in _INDENTED.findall(self.prose) for line in block.splitlines()]
        return lines + self.inline_code()

    def links(self) -> list[str]:
        """The targets of links."""
        return _LINK.findall(self.prose)

    def anchors(self) -> set[str]:
        """What links may name after #, as forges make it of a heading."""
        return {
            re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
            for heading in _HEADING.findall(self.prose)
        }

    def section(self, heading: str) -> "Section":
        """The part below a heading, up to the next one of the same level."""
        match = re.search(rf"^(#+) {re.escape(heading)}$", self.text, re.MULTILINE)
        if match is None:
            raise LookupError(f"{self} has no section {heading!r}")
        rest = self.text[match.end() :]
        end = re.search(rf"^#{{1,{len(match.group(1))}}} ", rest, re.MULTILINE)
        return Section(rest[: end.start()] if end else rest)

    def table_rows(self) -> Iterator[list[str]]:
        """The rows of all tables, without headings."""
        yield from Section(self.prose).table_rows()


@dataclass(frozen=True)
class Section:
    """A part of a page."""

    text: str

    def table_rows(self) -> Iterator[list[str]]:
        """The rows of its tables, without headings, as the texts of their cells."""
        lines = self.text.splitlines()
        for number, line in enumerate(lines):
            is_rule = set(line) <= set("|-: ") and "-" in line
            is_heading = number + 1 < len(lines) and lines[number + 1].startswith("|--")
            if line.startswith("|") and not is_rule and not is_heading:
                yield [cell.strip() for cell in line.strip().strip("|").split("|")]

    def transitions(self) -> set[tuple[str, str]]:
        """The arrows of its state diagrams; the start and the end are `[*]`."""
        return set(re.findall(r"^\s*(\S+) --> ([^\s:]+)", self.text, re.MULTILINE))


README = Page(ROOT / "README.md")
DOCS = [Page(path) for path in sorted((ROOT / "docs").glob("*.md"))]
PAGES = [README, Page(ROOT / "CHANGELOG.md"), *DOCS]


def page(name: str) -> Page:
    """A page of docs/ by its name."""
    return Page(ROOT / "docs" / f"{name}.md")
