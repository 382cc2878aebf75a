"""What is stored as the input of each activity of the `extraction` workflow: small, and with digests for what is large.

An input's digest decides whether a recorded output may be used, so everything that the output follows from is in it.
"""

from pydantic import BaseModel

from beep_orchestration.extraction.model import Chunk, ExtractionOptions, LanguageModelStatistics


class WholeText(BaseModel):
    """Input of `chunk`: the text by its digest, for it stands in the execution's row."""

    text_digest: str
    options: ExtractionOptions


class ChunkOfText(BaseModel):
    """Input of a `mentions` activity."""

    text_digest: str
    chunk: Chunk
    ontology_digest: str


class CandidateBatch(BaseModel):
    """Input of an `entities` activity: the candidates by their digest, for they follow from the recorded mentions."""

    text_digest: str
    candidates: int
    candidates_digest: str
    ontology_digest: str


class ChunkOfEntities(BaseModel):
    """Input of a `relations` activity: a chunk and the entities in it, by their digest."""

    text_digest: str
    chunk: Chunk
    entities: int
    entities_digest: str
    ontology_digest: str


class GraphParts(BaseModel):
    """Input of `assemble`: everything that was recorded before, by its digest."""

    text_digest: str
    entities_digest: str
    relations_digest: str
    identities_digest: str
    language_model: LanguageModelStatistics | None
    reviews_digest: str
    options: ExtractionOptions
