"""What may come in as a document: the same refusals at every door, and the decoding of files."""

import codecs
import re

from beep_orchestration.errors import InvalidDocumentError

_BLANK = re.compile(r"[\s\u00ad\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufe00-\ufe0f\x00-\x1f\x7f-\x9f]*")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: its mark begins with UTF-16's
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def validate_document(text: str, field: str = "text", *, max_characters: int | None = None) -> None:
    """Refuse a text that holds nothing to read, cannot be stored, or is longer than `max_characters` code points.

    Blank means white space, invisible format characters and control characters only.

    Raises:
        InvalidDocumentError: names the field, the position (in code points) and what to do.
    """
    if max_characters is not None and len(text) > max_characters:
        raise InvalidDocumentError(
            field,
            f"has {len(text):,} characters and the limit is {max_characters:,}",
            "split the document, or raise BEEP_MAXIMUM_DOCUMENT_CHARACTERS",
        )
    validate_storable(text, field)
    if _BLANK.fullmatch(text):
        raise InvalidDocumentError(field, "is blank", "send a text with at least one visible character")


def validate_storable(text: str, field: str) -> None:
    """Refuse U+0000 and lone surrogates, which neither PostgreSQL's `text` and `jsonb` nor UTF-8 can hold.

    Raises:
        InvalidDocumentError: names the field and the first position, in code points.
    """
    found = _UNSTORABLE.search(text)
    if found is None:
        return
    if found.group() == "\x00":
        raise InvalidDocumentError(field, f"holds a NUL character (U+0000) at character {found.start()}", "remove it")
    raise InvalidDocumentError(
        field,
        f"holds a lone surrogate (U+{ord(found.group()):04X}) at character {found.start()}",
        "decode the source again: half of a surrogate pair is no character",
    )


def decode_document(data: bytes) -> str:
    """Decode a file: UTF-8 with or without byte order mark, UTF-16 or UTF-32 with one. The mark is no part of the text.

    Nothing is guessed or replaced, so offsets into the text are offsets into what was in the file.

    Raises:
        InvalidDocumentError: names the encoding and the first wrong byte, counted from 0 in the file.
    """
    mark, encoding = next(((m, name) for m, name in _BYTE_ORDER_MARKS if data.startswith(m)), (b"", "utf-8"))
    try:
        return data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        position = len(mark) + error.start
        raise InvalidDocumentError(
            "text",
            f"is not valid {encoding.upper()} at byte {position} (0x{data[position]:02x}: {error.reason})",
            "save the file as UTF-8, or as UTF-16 with a byte order mark",
        ) from error
