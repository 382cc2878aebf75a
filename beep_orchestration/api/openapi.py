"""The OpenAPI 3.2 document, made from the operations and the pydantic models that they take and return."""

from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from beep_orchestration.api.operations import EVENTS, JSON, OPERATIONS, Operation
from beep_orchestration.api.problems import MEDIA_TYPE, Problem

_REFERENCE = "#/components/schemas/{model}"
_ID_PATTERN = "^knowledge_workflow_execution__[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
_DESCRIPTION = (
    "Durable knowledge-extraction workflows: start an execution, watch it, signal, cancel and resume it, read its "
    "graph. Refusals are application/problem+json (RFC 9457) and name the field and the remedy."
)


def openapi_document() -> dict[str, Any]:
    """The document. Raises nothing; it is the same whoever asks."""
    types = _types()
    adapters = [(key, mode, TypeAdapter(kind)) for key, (mode, kind) in types.items()]
    references, definitions = TypeAdapter.json_schemas(
        adapters, ref_template=_REFERENCE, schema_generator=GenerateJsonSchema
    )
    schemas = {key: references[key, mode] for key, (mode, _) in types.items()}
    return {
        "openapi": "3.2.0",
        "info": {
            "title": "beep_orchestration",
            "version": version("beep-orchestration"),
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": _paths(schemas),
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "One of BEEP_API_TOKENS, if that is set."}
            },
        },
    }


def _types() -> dict[str, tuple[JsonSchemaMode, Any]]:
    types: dict[str, tuple[JsonSchemaMode, Any]] = {"problem": ("serialization", Problem)}
    for operation in OPERATIONS:
        types[f"{operation.name} answer"] = ("serialization", operation.answer_type)
        types[f"{operation.name} query"] = ("validation", operation.query)
        if operation.body is not None:
            types[f"{operation.name} body"] = ("validation", operation.body)
    return types


def _paths(schemas: dict[str, Any]) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    return paths


def _operation(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": _parameters(operation),
        "responses": _responses(operation, schemas),
        "security": [{"token": []}, {}] if operation.needs_token else [{}],
    }
    if operation.body is not None:
        content = {JSON: {"schema": schemas[f"{operation.name} body"]}}
        document["requestBody"] = {"required": True, "content": content}
    return document


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    parameters = []
    if "{execution_id}" in operation.path:
        parameters.append(_parameter("path", "execution_id", {"type": "string", "pattern": _ID_PATTERN}))
    for name, schema in operation.query.model_json_schema().get("properties", {}).items():
        parameters.append(_parameter("query", name, schema))
    if operation.key is not None:
        schema = {"type": "string", "minLength": 1, "maxLength": 500, "description": operation.key}
        parameters.append(_parameter("header", "Idempotency-Key", schema))
    if operation.media_type == EVENTS:
        described = "The id of the last event that was received; a browser sends it by itself."
        schema = {"type": "integer", "minimum": 0, "exclusiveMaximum": 2**31, "description": described}
        parameters.append(_parameter("header", "Last-Event-ID", schema))
    return parameters


def _parameter(place: str, name: str, schema: dict[str, Any]) -> dict[str, Any]:
    described = {"description": schema["description"]} if "description" in schema else {}
    return {"name": name, "in": place, "required": place == "path", "schema": schema, **described}


def _responses(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    content = _content(operation.media_type, schemas[f"{operation.name} answer"])
    answer: dict[str, Any] = {"description": operation.status.phrase, "content": content}
    if operation.location is not None:
        answer["headers"] = {"Location": {"schema": {"type": "string"}}}
    responses = {str(operation.status.value): answer}
    if operation.media_type == EVENTS:
        responses["204"] = {"description": "There is nothing more: the execution has ended."}
    for status in _refusals(operation):
        content = {MEDIA_TYPE: {"schema": schemas["problem"]}}
        responses[str(status.value)] = {"description": status.phrase, "content": content}
    return responses


def _content(media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The schema is of the whole answer, or of each entry of one that comes in entries."""
    if media_type == JSON:
        return {media_type: {"schema": schema}}
    return {media_type: {"itemSchema": _event(schema) if media_type == EVENTS else schema}}


def _event(schema: dict[str, Any]) -> dict[str, Any]:
    """A Server-Sent Event whose data is JSON of that schema."""
    data = {"type": "string", "contentMediaType": JSON, "contentSchema": schema}
    properties = {"id": {"type": "string"}, "event": {"type": "string"}, "data": data}
    return {"type": "object", "properties": properties}


def _refusals(operation: Operation) -> list[HTTPStatus]:
    always = [HTTPStatus.MISDIRECTED_REQUEST, HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE]
    always.append(HTTPStatus.UNPROCESSABLE_ENTITY)
    if operation.needs_token:
        always.append(HTTPStatus.UNAUTHORIZED)
    if operation.method == "POST":
        always.append(HTTPStatus.FORBIDDEN)
    if operation.body is not None:
        always += [HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE]
    return sorted({*always, *operation.refusals})
