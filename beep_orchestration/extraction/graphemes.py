"""Where a text may be cut without tearing one visible character apart.

An approximation of the extended grapheme clusters of Unicode Standard Annex #29 that needs no tables: CRLF, combining
marks, joiners, variation selectors, emoji modifiers and tags, flags, and conjoining Hangul stay with what is before.
"""

import unicodedata

_JOINERS = "\u200c\u200d"
_LONGEST_CLUSTER = 64  # a longer run of combining marks is noise, and is cut


def cut_before(text: str, position: int, since: int = 0) -> int:
    """The last place at or before `position` that splits no cluster; `position` itself if none is near."""
    for candidate in range(position, max(position - _LONGEST_CLUSTER, 0), -1):
        if not splits_cluster(text, candidate, since):
            return candidate
    return position


def splits_cluster(text: str, position: int, since: int = 0) -> bool:
    """Whether a cut at `position` separates code points that are shown as one character.

    `since` is an earlier place where a character is known to begin: nothing before it is read.
    """
    if position <= 0 or position >= len(text):
        return False
    before, after = text[position - 1], text[position]
    if after < "\u0300":
        return before == "\r" and after == "\n"
    return (
        _extends(after)
        or before == "\u200d"
        or (_is_flag_half(after) and _flag_halves_before(text, position, since) % 2 == 1)
    )


def _extends(character: str) -> bool:
    return (
        character in _JOINERS
        or unicodedata.category(character) in ("Mn", "Mc", "Me")
        or "\U0001f3fb" <= character <= "\U0001f3ff"  # skin tones
        or "\U000e0020" <= character <= "\U000e007f"  # tags of subdivision flags
        or "\u1160" <= character <= "\u11ff"  # Hangul vowels and final consonants
    )


def _is_flag_half(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _flag_halves_before(text: str, position: int, since: int) -> int:
    first = position
    while first > since and _is_flag_half(text[first - 1]):
        first -= 1
    return position - first
