"""What a language model is asked, and the shape of its answer."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from beep_orchestration.digests import canonical_digest
from beep_orchestration.errors import InvalidAnswerError
from beep_orchestration.models import Json

Label = Literal[
    "PERSON", "NORP", "FAC", "ORG", "GPE", "LOC", "PRODUCT", "EVENT", "WORK_OF_ART", "LAW", "LANGUAGE", "DATE", "NAME"
]
"""The coarse types of OntoNotes that are not numbers, and NAME for what is none of them."""

_MOST_NAMES = 200  # of classes or relations that a schema lists; providers limit them, and our own check holds anyway


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class NamedThing(_Answer):
    """A name as it stands in the text."""

    name: str = Field(description="the name, copied letter by letter from the text")
    label: Label


class MentionsAnswer(_Answer):
    """The names of a chunk."""

    mentions: list[NamedThing]


class TypedThing(_Answer):
    """A type for the candidate of that number."""

    number: int = Field(description="the number of the candidate")
    type: str = Field(description="the name of a type, or none")


class TypesAnswer(_Answer):
    """The types of a batch of candidates."""

    entities: list[TypedThing]


class StatedFact(_Answer):
    """A relation between two entities, given by their numbers, and the number of the sentence that states it."""

    subject: int
    relation: str = Field(description="the name of a relation")
    object: int
    sentence: int


class RelationsAnswer(_Answer):
    """The facts of a chunk."""

    facts: list[StatedFact]


A = TypeVar("A", bound=_Answer)


@dataclass(frozen=True)
class Question(Generic[A]):
    """`instructions` are ours alone; `material` is what the document says, and only data.

    `allowed` lists the values of fields of the answer, as (model, field, values).
    """

    instructions: str
    material: str
    answer_type: type[A]
    allowed: tuple[tuple[str, str, tuple[str, ...]], ...] = ()

    @cached_property
    def schema(self) -> Json:
        """The JSON schema of the answer; the names of the ontology are enumerated in it, if they are not too many."""
        schema = self.answer_type.model_json_schema()
        for model, field, values in self.allowed:
            if len(values) <= _MOST_NAMES:
                schema["$defs"][model]["properties"][field]["enum"] = list(values)
        return schema

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that a model is told."""
        return canonical_digest([self.instructions, self.material, self.schema])

    @property
    def length(self) -> int:
        """How much the model has to read, in code points."""
        return len(self.instructions) + len(self.material) + len(json.dumps(self.schema))


def parse_answer(content: str, answer_type: type[A]) -> A:
    """The answer in a model's text.

    Raises:
        InvalidAnswerError: it is no JSON, repeats a key (which JSON leaves undefined: RFC 8259, section 4) or lacks
            what was asked for.
    """
    try:
        value = json.loads(_unfenced(content), object_pairs_hook=_without_repetition)
        return answer_type.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the answer"
        raise InvalidAnswerError(f"{place}: {first['msg']}") from error
    except RecursionError as error:
        raise InvalidAnswerError("it is nested too deeply") from error
    except ValueError as error:
        raise InvalidAnswerError(f"it is no JSON: {error}") from error


def _unfenced(content: str) -> str:
    """Without the fence that models put around JSON when nothing binds them to a schema."""
    text = content.strip()
    if text.startswith("```") and text.endswith("```"):
        return text[3:-3].removeprefix("json")
    return text


def _without_repetition(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {repeated[:80]!r} is repeated")
    return found
