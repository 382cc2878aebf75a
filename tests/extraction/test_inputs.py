"""Raw input is accepted whole or refused with the field's path and a remedy."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beep_orchestration.errors import InvalidDocumentError, InvalidInputError, InvalidOntologyError
from beep_orchestration.extraction.inputs import parse_extraction_input
from beep_orchestration.extraction.model import ExtractionInput, ExtractionOptions

VALID = {"document_id": "d", "text": "Ada Lovelace."}


def test_a_valid_input_is_parsed() -> None:
    parsed = parse_extraction_input({**VALID, "options": {"chunk_size": 400, "minimum_relation_confidence": 1}})
    assert parsed.options == ExtractionOptions(chunk_size=400, minimum_relation_confidence=1.0)
    assert parse_extraction_input(parsed.model_dump(mode="json")) == parsed


@pytest.mark.parametrize(
    ("change", "field", "problem", "remedy"),
    [
        ({"document_id": None}, "document_id", "should be a valid string", "send a string"),
        ({"document_id": ""}, "document_id", "at least 1 character", "correct the value"),
        ({"document_id": "a\x00"}, "document_id", "NUL", "remove it"),
        ({"text": 5}, "text", "should be a valid string", "send a string"),
        ({"text": ["a"]}, "text", "should be a valid string", "send a string"),
        ({"tetx": "a"}, "tetx", "not permitted", "correct its name"),
        ({"extractor": "oracle"}, "extractor", "should be 'local'", "use one of these values"),
        ({"options": []}, "options", "valid dictionary", "send an object"),
        ({"options": {"chunk_size": "2000"}}, "options.chunk_size", "valid integer", "without quotes"),
        ({"options": {"chunk_size": True}}, "options.chunk_size", "valid integer", "whole number"),
        ({"options": {"chunk_size": 2000.5}}, "options.chunk_size", "valid integer", "whole number"),
        ({"options": {"chunk_size": 1}}, "options.chunk_size", "greater than or equal to 200", "correct"),
        ({"options": {"chunk_overlap": 1999}}, "options", "at most half of chunk_size", "correct"),
        (
            {"options": {"minimum_relation_confidence": 2}},
            "options.minimum_relation_confidence",
            "less than",
            "correct",
        ),
    ],
)
def test_a_fault_is_named_by_its_path(change: dict[str, Any], field: str, problem: str, remedy: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_extraction_input(VALID | change)
    assert refused.value.field == field
    assert problem in refused.value.problem
    assert remedy in refused.value.remedy


def test_a_missing_field_is_named() -> None:
    with pytest.raises(InvalidInputError, match="text: field required; add the field"):
        parse_extraction_input({"document_id": "d"})


@pytest.mark.parametrize(("text", "problem"), [(" \ufeff", "blank"), ("a\x00", "character 1"), ("\ud800", "U.D800")])
def test_a_bad_document_is_refused_as_such(text: str, problem: str) -> None:
    with pytest.raises(InvalidDocumentError, match=problem):
        parse_extraction_input(VALID | {"text": text})


def test_the_limit_is_named() -> None:
    with pytest.raises(InvalidDocumentError, match="13 characters and the limit is 5"):
        parse_extraction_input(VALID, max_characters=5)


def test_a_bad_ontology_is_refused_at_the_door() -> None:
    with pytest.raises(InvalidOntologyError, match="line 1"):
        parse_extraction_input(VALID | {"ontology": "no turtle"})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*VALID, "options", "ontology", "x"]), inner),
    )
)
def test_any_json_is_parsed_or_refused(raw: object) -> None:
    with suppress(InvalidInputError):
        assert isinstance(parse_extraction_input(raw), ExtractionInput)
