"""The door of the extraction workflow: raw JSON in, a valid `ExtractionInput` or one clear refusal out."""

from collections.abc import Mapping

from pydantic import ValidationError

from beep_orchestration.errors import InvalidDocumentError, InvalidInputError
from beep_orchestration.extraction.documents import validate_document
from beep_orchestration.extraction.examples import check_examples
from beep_orchestration.extraction.model import ExtractionInput
from beep_orchestration.extraction.ontology import load_ontology
from beep_orchestration.refusals import json_type, refusal


def parse_extraction_input(raw: object, *, max_characters: int | None = None) -> ExtractionInput:
    """Check everything that can be checked before anything is stored; types are strict, so `"2000"` is not 2000.

    `max_characters` limits the text, in code points. The ontology is parsed here, so that it is refused here.

    Raises:
        InvalidInputError: names the field by its path (`options.chunk_size`) and the remedy.
        InvalidDocumentError: the same, for text that cannot be stored or read, or is too long.
        InvalidOntologyError: the same, with the line.
    """
    if not isinstance(raw, Mapping):
        raise InvalidInputError(
            "input", f"is {json_type(raw)}, not an object", "send an object with 'document_id' and 'text'"
        )
    text = raw.get("text")
    if isinstance(text, str):
        validate_document(text, max_characters=max_characters)
    try:
        parsed = ExtractionInput.model_validate(dict(raw), strict=True)
    except ValidationError as error:
        raise _as_input_error(error) from error
    check_examples(parsed.examples, load_ontology(parsed.ontology))
    return parsed


def _as_input_error(error: ValidationError) -> InvalidInputError:
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "invalid_document":
        field = ".".join(str(part) for part in first["loc"])
        return InvalidDocumentError(field, first["ctx"]["problem"], first["ctx"]["remedy"])
    return refusal(error, "input")
