"""Which stretches of a document are markup, code or comments rather than prose.

Covers what Markdown (CommonMark with tables and footnotes) and HTML documents commonly hold; plain text has next to
none of it. Nothing is removed: the stretches are named by their offsets, so that all offsets still fit the original.
One pass, linear: each pattern is bounded or ends at a character that it may not contain.
"""

import re
from collections.abc import Iterator

_MARKUP = re.compile(
    r"""
      (?P<comment> <!-- )
    | (?P<block> <(?P<element> script | style | pre | code | svg | math | template | textarea )\b [^<>]{0,2000} > )
    | (?P<tag> < [A-Za-z/!?|] [^<>]{0,2000} > )
    | (?P<fence> ^[ ]{0,3} (?P<ticks> `{3,} | ~{3,} ) [^\n`]{0,200} $ )
    | (?P<code> (?<!`) ` [^`\n]{1,200} ` (?!`) )
    | (?P<rule> ^[ \t]{0,3} (?: [-*_=] [ \t]? ){3,200} $ )
    | (?P<table_rule> ^[ \t]{0,3} \|? [ \t]? :?-{2,80} [-:| \t]{0,2000} $ )
    | (?P<line_start> ^[ \t]{0,12}
        (?: \#{1,6}[ \t]+ | (?:>[ \t]?){1,8} | (?:[-+*•] | \d{1,3}[.)])[ \t]+ (?:\[[ xX]\][ \t])? ) )
    | (?P<cell> \\? \| )
    | (?P<image> ! (?= \[ [^\[\]\n]{0,500} \]\( ) )
    | (?P<link_start> \[ (?= [^\[\]\n]{1,500} \]\( ) )
    | (?P<link_end> \]\( [^()\s]{0,2000} (?: \([^()\s]{0,200}\)[^()\s]{0,200} )? (?: [ ]"[^"\n]{0,200}" )? \) )
    | (?P<footnote> \[\^ [^\]\s]{1,40} \]:? | \[\d{1,3}\] )
    | (?P<address> \b(?:https?://|www\.) [^\s<>"]{1,2000} )
    | (?P<stars> \*{1,3} )
    | (?P<underscores> (?<!\w)_{1,3}(?=\w) | (?<=\w)_{1,3}(?!\w) )
    | (?P<terminal> \x1b\[ [0-9;]{0,20} [A-Za-z] )
    """,
    re.VERBOSE | re.MULTILINE | re.IGNORECASE,
)
_BREAKS = re.compile(
    r"</?(?:p|div|h[1-6]|li|ul|ol|td|th|tr|table|br|hr|nav|header|footer|section|article|title|head|body|html|blockquote"
    r"|dt|dd|dl|summary|details|script|style|pre|textarea|figure|figcaption|caption|option|form|main|aside)\b"
    r"|\\?\||[ \t]*(?:`{3}|~{3}|[-+*•][ \t]|\d{1,3}[.)][ \t]|\#|>)|[ \t|:=_*-]{3,}\Z",
    re.IGNORECASE,
)
_END_OF_ADDRESS = ".,;:!?'\")]}*_"


def hidden_stretches(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each stretch that is not prose, in order, disjoint."""
    closers = _Closers(text)
    position = 0
    while (found := _MARKUP.search(text, position)) is not None:
        end = _end_of(found, closers)
        if end > found.start():
            yield found.start(), end
        position = max(end, found.end())


def breaks_text(markup: str) -> bool:
    """Whether this piece of markup ends a stretch of prose (a cell, a paragraph), where emphasis or a link does not."""
    return _BREAKS.match(markup) is not None


def _end_of(found: re.Match[str], closers: "_Closers") -> int:
    kind = found.lastgroup
    if kind == "comment":
        return closers.after("-->", found.end())
    if kind == "block":
        return closers.after(f"</{found['element'].lower()}>", found.end())
    if kind == "fence":
        return closers.after_line(found["ticks"][:3], found.end())
    if kind == "address":
        return found.start() + len(found.group().rstrip(_END_OF_ADDRESS))
    return found.end()


class _Closers:
    """Finds what closes a comment or block; one known to be missing is not searched for again (linear time)."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._folded = text.lower() if len(text.lower()) == len(text) else text
        self._missing: set[str] = set()

    def after(self, closer: str, position: int) -> int:
        """The end of the next `closer`, or `position` if there is none: what was never closed hides nothing."""
        if closer in self._missing:
            return position
        found = self._folded.find(closer, position)
        if found < 0:
            self._missing.add(closer)
            return position
        return found + len(closer)

    def after_line(self, ticks: str, position: int) -> int:
        """The end of the line that closes a code fence."""
        return self.after(f"\n{ticks}", position)
