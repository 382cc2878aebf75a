"""What is refused as a document, with its field, place and remedy, and how files are decoded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from beep_orchestration.errors import InvalidDocumentError
from beep_orchestration.extraction.documents import decode_document, validate_document
from beep_orchestration.extraction.model import ExtractionInput

BLANK = [
    "",
    " ",
    "\t\r\n",
    "\u00a0\u2003",
    "\u200b\ufeff",
    "\u2028\u2029\x85",
    "\u200e\u202e\u2066",
    "\x01\x1b\x7f",
    "\u3000",
]


@pytest.mark.parametrize("text", BLANK)
def test_blank_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidDocumentError, match="text: is blank; send a text"):
        validate_document(text)


@given(st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1))
def test_visible_text_is_accepted(text: str) -> None:
    validate_document(text)


@given(st.text(), st.text())
def test_nul_is_refused_with_its_position(before: str, after: str) -> None:
    position = (before + "\x00").index("\x00")
    with pytest.raises(InvalidDocumentError, match=rf"NUL character \(U\+0000\) at character {position}; remove it"):
        validate_document(before + "\x00" + after)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00")), st.integers(0xD800, 0xDFFF))
def test_a_lone_surrogate_is_refused_with_its_position(before: str, code: int) -> None:
    with pytest.raises(InvalidDocumentError, match=rf"U\+{code:04X}\) at character {len(before)}; decode"):
        validate_document(before + chr(code) + "x")


def test_an_over_long_text_is_refused_with_the_limit_in_code_points() -> None:
    validate_document("👍" * 10, max_characters=10)
    with pytest.raises(InvalidDocumentError, match="text: has 11 characters and the limit is 10; split"):
        validate_document("👍" * 11, max_characters=10)


@pytest.mark.parametrize("text", ["  ", "a\x00b", "a\ud800b"])
def test_the_input_model_refuses_what_the_door_refuses(text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ExtractionInput(document_id="d", text=text)
    assert refused.value.errors()[0]["loc"] == ("text",)
    with pytest.raises(InvalidDocumentError):
        validate_document(text)


@pytest.mark.parametrize("field", ["document_id", "title", "source_uri", "ontology"])
def test_no_text_field_takes_what_cannot_be_stored(field: str) -> None:
    raw = {"document_id": "d", "text": "Ada", field: "a\x00"}
    with pytest.raises(ValidationError, match="NUL") as refused:
        ExtractionInput.model_validate(raw)
    assert refused.value.errors()[0]["loc"] == (field,)


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\x00")),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
)
def test_files_are_decoded_without_loss(text: str, encoding: str) -> None:
    if encoding == "utf-8" and text.startswith("\ufeff"):
        text = text.lstrip("\ufeff")
    assert decode_document(text.encode(encoding)) == text


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_invalid_utf8_is_refused_with_the_byte(mark: bytes) -> None:
    with pytest.raises(
        InvalidDocumentError, match=f"not valid UTF-8 at byte {len(mark) + 3} .0xe9.*save the file as UTF-8"
    ):
        decode_document(mark + b"Caf\xe9 M\xfcller")


def test_a_truncated_utf16_file_is_refused_with_the_byte() -> None:
    with pytest.raises(InvalidDocumentError, match="not valid UTF-16-LE at byte 6"):
        decode_document("Ad".encode("utf-16-le").join([b"\xff\xfe", b"\x41"]))


def test_surrogates_encoded_as_utf8_are_refused() -> None:
    with pytest.raises(InvalidDocumentError, match="byte 1"):
        decode_document(b"a\xed\xa0\x80")
