"""What goes into an extraction, what travels between its activities, and what comes out.

All offsets are Unicode code points into the document's text, end exclusive, so `text[start:end]` is what they name.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from beep_orchestration.errors import InvalidDocumentError
from beep_orchestration.extraction.documents import validate_document, validate_storable

Confidence = Annotated[float, Field(ge=0.0, le=1.0)]

ExtractorName = Literal["local", "llm"]
"""The extractors that an execution can be started with."""


def _storable(value: object, info: ValidationInfo) -> object:
    if isinstance(value, str):
        _refuse_as_pydantic_does(validate_storable, value, str(info.field_name))
    return value


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _refuse_as_pydantic_does(validate: Callable[[str, str], None], value: str, field: str) -> None:
    """Turn our refusal into one that pydantic collects with the others; problem and remedy travel as its context."""
    try:
        validate(value, field)
    except InvalidDocumentError as error:
        context = {"problem": error.problem, "remedy": error.remedy}
        raise PydanticCustomError("invalid_document", "{problem}; {remedy}", context) from error


Name = Annotated[str, Field(min_length=1, max_length=1_000), BeforeValidator(_storable)]


class Value(BaseModel):
    """An immutable value that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ExtractionOptions(Value):
    """How a document is cut up and what is kept; sizes count code points."""

    chunk_size: int = Field(default=2_000, ge=200, le=100_000, description="Longest chunk, in code points")
    chunk_overlap: int = Field(
        default=200, ge=0, description="Text repeated at the start of the next chunk, in code points"
    )
    batch_size: int = Field(default=50, ge=1, le=10_000, description="Entities that one classification activity types")
    minimum_mention_confidence: Confidence = 0.0
    minimum_relation_confidence: Confidence = 0.5
    review_below: Confidence | None = Field(
        default=None,
        description="Entities and relations less sure than this wait for a person; absent: none do",
    )
    concurrency: int = Field(default=4, ge=1, le=1_000, description="Activities of one type that run at the same time")
    token_budget: int | None = Field(
        default=None, ge=1, description="Tokens that language models may read and write for the execution"
    )
    cost_budget: float | None = Field(
        default=None, gt=0, description="What language models may cost, in the currency of their prices"
    )
    account: Annotated[str, Field(min_length=1, max_length=200), BeforeValidator(_storable)] | None = Field(
        default=None, description="A name that executions share: what all of them spend counts against their budgets"
    )
    when_budget_is_used_up: Literal["fail", "park"] = Field(
        default="fail", description="Whether the execution fails then, or waits for the signal `grant_budget`"
    )

    @model_validator(mode="after")
    def _overlap_is_shorter_than_a_chunk(self) -> Self:
        if self.chunk_overlap * 2 > self.chunk_size:
            raise ValueError("chunk_overlap must be at most half of chunk_size")
        return self


class ExampleTriple(Value):
    """A fact that an example's text states, in names as a person would write them."""

    subject: Name
    relation: Name = Field(description="The name of a relation of the ontology")
    object: Name


class Example(Value):
    """A sentence (or a few) and what it states: what the local extractor can learn from."""

    text: str = Field(min_length=1, max_length=10_000)
    triples: Annotated[tuple[ExampleTriple, ...], BeforeValidator(_as_tuple), Field(max_length=1_000)] = ()

    @field_validator("text", mode="before")
    @classmethod
    def _can_be_stored(cls, value: object, info: ValidationInfo) -> object:
        return _storable(value, info)


class ExtractionInput(Value):
    """A document and how to extract from it: the input of the `extraction` workflow."""

    document_id: str = Field(min_length=1, max_length=500)
    text: str
    source_uri: str | None = Field(default=None, max_length=2_000)
    title: str | None = Field(default=None, max_length=1_000)
    ontology: str | None = Field(
        default=None, max_length=1_000_000, description="Turtle text; the built-in ontology if absent"
    )
    examples: Annotated[tuple[Example, ...], BeforeValidator(_as_tuple), Field(max_length=20_000)] = Field(
        default=(), description="Sentences with their triples, from which the local extractor learns"
    )
    extractor: ExtractorName = Field(default="local", description="Who finds mentions, types and relations")
    options: ExtractionOptions = ExtractionOptions()

    @field_validator("document_id", "source_uri", "title", "ontology", mode="before")
    @classmethod
    def _can_be_stored(cls, value: object, info: ValidationInfo) -> object:
        return _storable(value, info)

    @field_validator("text", mode="before")
    @classmethod
    def _is_a_document(cls, value: object) -> object:
        if isinstance(value, str):
            _refuse_as_pydantic_does(validate_document, value, "text")
        return value


class Span(Value):
    """A stretch of the document: `text[start:end]`."""

    start: int = Field(ge=0)
    end: int = Field(ge=0)


class Chunk(Span):
    """A stretch that one `mentions` and one `relations` activity work on."""

    index: int = Field(ge=0)
    hidden: tuple[Span, ...] = Field(
        default=(), description="Markup, code and comments: in the document, but not its prose"
    )


FoundBy = Annotated[
    tuple[str, ...], Field(description="Names of the activities that found it; `Provenance.sources` says what they ran")
]


class Mention(Span):
    """A name in the document: `text` is exactly `document[start:end]`; `label` is the extractor's coarse type."""

    text: str
    label: str
    confidence: Confidence
    found_by: FoundBy = ()


class Candidate(Value):
    """Mentions that name the same thing, before it is typed. `key` orders and identifies it within the document."""

    key: str
    name: str
    aliases: tuple[str, ...]
    mentions: tuple[Mention, ...]


class Entity(Value):
    """A thing of the document. `id` is unique in the graph and readable (`ada-lovelace`); `type` is a class's name."""

    id: str
    name: str
    type: str
    aliases: tuple[str, ...]
    mentions: tuple[Mention, ...]
    confidence: Confidence
    found_by: FoundBy = ()


class Relation(Value):
    """A fact: `subject` and `object` are entity ids, `evidence` the sentences that state it."""

    subject: str
    predicate: str
    object: str
    confidence: Confidence
    evidence: tuple[Span, ...]
    found_by: FoundBy = ()


class Source(Value):
    """An extractor as it was when it found what these activities found; `version` is all of its identity but its name.

    The version covers whatever could change an answer: model, rules, prompts, what was learned from examples.
    """

    extractor: str
    version: str
    activities: tuple[str, ...]


class Decision(StrEnum):
    """What a person can decide about what was extracted."""

    APPROVED = "approved"
    REJECTED = "rejected"
    EDITED = "edited"


class Triple(Value):
    """Which relation is meant, by the ids of its ends."""

    subject: str
    predicate: str
    object: str


class Review(Value):
    """A person's decision before the graph was assembled, about one entity, one relation, or with neither: all of it.

    What is named is named as it was extracted, so that a rejected fact, and one edited beyond recognition, can still
    be told. `by` is the name that the person gave; `at` is the database's time at which the decision arrived.
    """

    decision: Decision
    by: str
    at: datetime
    entity: str | None = None
    relation: Triple | None = None
    note: str | None = None


class Provenance(Value):
    """Where a graph's facts come from. Each fact's `found_by` names activities; here stands who ran them.

    The document of every fact is the graph's own. Facts of graphs stored before this was kept name no activity.
    """

    sources: tuple[Source, ...] = ()
    reviews: tuple[Review, ...] = ()


class LanguageModelStatistics(Value):
    """The answers of a language model that the graph is made of, and what became of them.

    `tally` counts names and facts: found in the text as given, aligned to it, dropped and why. What was paid besides,
    for answers that never came or could not be used, is in the execution's status.
    """

    answers: int
    input_tokens: int
    output_tokens: int
    tally: dict[str, int]


class GraphStatistics(Value):
    """Counts of one graph."""

    characters: int
    chunks: int
    mentions: int
    entities: int
    relations: int
    entities_by_type: dict[str, int]
    relations_by_predicate: dict[str, int]
    language_model: LanguageModelStatistics | None = None


class Graph(Value):
    """What an extraction yields; the same input always gives the same graph, byte for byte."""

    document_id: str
    title: str | None
    source_uri: str | None
    text_digest: str
    entities: tuple[Entity, ...]
    relations: tuple[Relation, ...]
    stats: GraphStatistics
    provenance: Provenance = Provenance()


def text_digest(text: str) -> str:
    """SHA-256 of the text in UTF-8, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()
