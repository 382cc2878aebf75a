"""Answers are what was asked for, or refused with the reason."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beep_orchestration.errors import InvalidAnswerError
from beep_orchestration.extraction.llm.questions import (
    MentionsAnswer,
    Question,
    RelationsAnswer,
    TypesAnswer,
    parse_answer,
)

NAMES = '{"mentions": [{"name": "Ada", "label": "PERSON"}]}'


@pytest.mark.parametrize("content", [NAMES, f" {NAMES}\n", f"```json\n{NAMES}\n```", f"```\n{NAMES}```"])
def test_an_answer_is_read(content: str) -> None:
    assert parse_answer(content, MentionsAnswer).mentions[0].name == "Ada"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "no JSON"),
        ("Here you are", "no JSON"),
        (NAMES[:-3], "no JSON"),
        (NAMES + NAMES, "no JSON"),
        (NAMES[:-1] + ', "mentions": []}', "the key 'mentions' is repeated"),
        ('{"mentions": [{"name": "Ada", "name": "Bob", "label": "PERSON"}]}', "the key 'name' is repeated"),
        ("[]", "MentionsAnswer"),
        ("{}", "mentions: Field required"),
        ('{"mentions": [{"name": "Ada"}]}', r"mentions\.0\.label: Field required"),
        ('{"mentions": [{"name": "Ada", "label": "ADMIN"}]}', r"mentions\.0\.label"),
        ("[" * 100_000, "no JSON|nested"),
    ],
)
def test_another_is_refused_with_the_reason(content: str, problem: str) -> None:
    with pytest.raises(InvalidAnswerError, match=problem):
        parse_answer(content, MentionsAnswer)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["facts", "subject", "object", "relation", "sentence", "x"]), inner)
    ),
)


@given(st.text() | JSON.map(json.dumps))
def test_any_text_is_read_or_refused(content: str) -> None:
    with suppress(InvalidAnswerError):
        assert isinstance(parse_answer(content, RelationsAnswer), RelationsAnswer)


def test_names_of_the_ontology_are_in_the_schema_unless_they_are_too_many() -> None:
    def types(*names: str) -> object:
        question = Question("i", "m", TypesAnswer, (("TypedThing", "type", names),))
        return question.schema["$defs"]["TypedThing"]["properties"]["type"].get("enum")

    assert types("Person", "Place") == ["Person", "Place"]
    assert types(*(f"Type {number}" for number in range(500))) is None
    assert types("Place") == ["Place"]  # the schema of one question is not that of the next


def test_the_digest_covers_all_that_the_model_is_told() -> None:
    asked = Question("i", "m", TypesAnswer, (("TypedThing", "type", ("A",)),))
    others = [
        Question("j", "m", TypesAnswer, asked.allowed),
        Question("i", "n", TypesAnswer, asked.allowed),
        Question("i", "m", TypesAnswer, (("TypedThing", "type", ("B",)),)),
        Question("i", "m", MentionsAnswer),
    ]
    assert len({asked.digest, *(other.digest for other in others)}) == 1 + len(others)
    assert Question("i", "m", TypesAnswer, asked.allowed).digest == asked.digest
