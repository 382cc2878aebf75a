"""JSON from outside: what is wrong with it becomes one `InvalidInputError` that names the field and the remedy."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from beep_orchestration.errors import InvalidInputError
from beep_orchestration.models import Json

M = TypeVar("M", bound=BaseModel)

_CORRECT = "correct the value"
_REMEDIES = {
    "missing": "add the field",
    "extra_forbidden": "remove the field, or correct its name",
    "string_type": "send a string",
    "int_type": "send a whole number, without quotes",
    "float_type": "send a number, without quotes",
    "model_type": "send an object",
    "literal_error": "use one of these values",
}


def parse_object(model: type[M], raw: object, field: str) -> M:
    """The JSON object as that model, with JSON's types: `"2000"` is no number, an ISO date is a date.

    Raises `InvalidInputError`, for what PostgreSQL cannot store too.
    """
    text = storable_text_of(raw, field)
    try:
        return model.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise refusal(error, field) from error


def storable_text_of(raw: object, field: str, *, most_bytes: int | None = None, remedy: str = "send less") -> str:
    """The object as JSON text that jsonb can hold; raises `InvalidInputError` otherwise, or if it is too long."""
    if not isinstance(raw, Mapping):
        raise InvalidInputError(field, f"is {json_type(raw)}, not a JSON object", "send an object of JSON values")
    try:
        text = json.dumps(dict(raw), allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(field, f"is not a JSON object ({error})", "send an object of JSON values") from error
    if not is_utf8(text) or "\\u0000" in text.replace("\\\\", ""):
        raise InvalidInputError(field, "holds NUL or a lone surrogate", "remove the character")
    if most_bytes is not None and len(text.encode()) > most_bytes:
        raise InvalidInputError(field, f"is longer than {most_bytes} bytes", remedy)
    return text


def is_utf8(text: str) -> bool:
    """Whether the text has no lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_text(field: str, text: str | None, longest: int) -> None:
    """Refuse what is no short text that PostgreSQL can store; None is left alone. Raises `InvalidInputError`."""
    if text is not None and not isinstance(text, str):
        raise InvalidInputError(field, f"is no text but {type(text).__name__}", "give a short text")
    if text is not None and (not text.strip() or len(text) > longest or "\x00" in text or not is_utf8(text)):
        raise InvalidInputError(
            field, f"is blank, longer than {longest} characters or not storable", "give a short text"
        )


def stored_object(raw: object, field: str, *, most_bytes: int | None = None, remedy: str = "send less") -> Json:
    """As `storable_text_of`, read back."""
    loaded: Json = json.loads(storable_text_of(raw, field, most_bytes=most_bytes, remedy=remedy))
    return loaded


def refusal(error: ValidationError, root: str) -> InvalidInputError:
    """The first fault, and how many others there are; `root` names the value as a whole."""
    path, problem, remedy = first_fault(error)
    count = error.error_count() - 1
    others = f" (and {count} more faulty {'field' if count == 1 else 'fields'})" if count else ""
    return InvalidInputError(path or root, problem + others, remedy)


def first_fault(error: ValidationError) -> tuple[str, str, str]:
    """The path of the first fault, what is wrong there, and what to do.

    Validators of our own raise `ValueError("problem; remedy")`, of which the remedy may be left out, or give both as
    the context of their error if the problem repeats what they were given: that may have any signs in it.
    """
    first = error.errors(include_url=False, include_input=False)[0]
    path, context = ".".join(str(part) for part in first["loc"]), first.get("ctx", {})
    if "remedy" in context:
        return path, context["problem"], context["remedy"]
    if first["type"] == "value_error":
        problem, _, remedy = str(context["error"]).partition("; ")
        return path, problem, remedy or _CORRECT
    return path, first["msg"][:1].lower() + first["msg"][1:], _REMEDIES.get(first["type"], _CORRECT)


def json_type(value: Any) -> str:
    """What JSON calls a value's type."""
    names = {
        str: "a string",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        list: "an array",
        type(None): "null",
    }
    return names.get(type(value), type(value).__name__)
