"""What of an execution waits for a person's decision, with the sentences to decide by."""

import re
from typing import Any

from beep_orchestration.errors import InvalidInputError, WorkflowStateError
from beep_orchestration.extraction import assemble
from beep_orchestration.extraction.model import Chunk, Entity, ExtractionInput, Graph, Relation, Span, Triple, Value
from beep_orchestration.extraction.prose import as_read
from beep_orchestration.extraction.review import REVIEW_SIGNALS, Decided, Doubts, doubts_of, triple_of
from beep_orchestration.models import Json
from beep_orchestration.service import WorkflowService
from beep_orchestration.workflow_types import CHUNK, ENTITIES, EXTRACTION, RELATIONS

_AROUND = 60
"""How many code points before and after a mention are shown; a word that would be cut is left out."""

_WORD_AT_START = re.compile(r"^\S+(?=\s)")
_WORD_AT_END = re.compile(r"(?<=\s)\S+$")


class Doubt(Value):
    """A fact that waits, by the number that it keeps until all are decided on. Either `entity` or `relation` names it.

    `text` is the fact in words, `sentences` where the document states it.
    """

    number: int
    text: str
    confidence: float
    sentences: tuple[str, ...]
    entity: str | None = None
    relation: Triple | None = None

    def named(self) -> Json:
        """The payload's part that names the fact."""
        return self.model_dump(mode="json", include={"entity", "relation"}, exclude_none=True)


class Doubted(Value):
    """What of an execution waits for decisions; a signal `approve`, `reject` or `edit` names one of them, or none."""

    waiting: tuple[Doubt, ...]


def open_doubts(service: WorkflowService, execution_id: str) -> list[Doubt]:
    """The facts of an execution on which nobody has decided yet, in the draft's order.

    Decisions that were sent count from the moment at which they are stored, before the execution has used them. Raises
    `WorkflowNotFoundError`; `WorkflowStateError` if it waits for no decision; `InvalidInputError` if its workflow type
    has no such facts.
    """
    status = service.get_status(execution_id)
    if status.workflow_type != EXTRACTION.name:
        raise InvalidInputError(
            "execution_id",
            f"{execution_id} is of the workflow type {status.workflow_type!r}, which has no facts to review",
            f"see what it waits for with 'beep status {execution_id}', and send that with 'beep signal'",
        )
    document = ExtractionInput.model_validate(service.load_input(execution_id))
    threshold = document.options.review_below
    if status.status.is_terminal or threshold is None:
        raise WorkflowStateError(execution_id, status.status, "nothing waits for a decision")
    relations = status.activities.get(RELATIONS.name)
    if relations is None or relations.done < relations.total:
        raise WorkflowStateError(execution_id, status.status, "its facts are not all extracted yet; ask again later")
    doubts = doubts_of(_draft(service, execution_id, document), threshold)
    left = doubts.without(_decisions(service, execution_id))
    numbered = _numbered(doubts, document.text)
    return [each for each in numbered if _is_in(each, left)]


def _draft(service: WorkflowService, execution_id: str, document: ExtractionInput) -> Graph:
    outputs = service.load_outputs(execution_id, CHUNK.name, ENTITIES.name, RELATIONS.name)
    return assemble(
        document,
        [Chunk.model_validate(item) for part in outputs[CHUNK.name] for item in part],
        [Entity.model_validate(item) for part in outputs[ENTITIES.name] for item in part],
        [Relation.model_validate(item) for part in outputs[RELATIONS.name] for item in part],
        identities={},
    )


def _decisions(service: WorkflowService, execution_id: str) -> list[Decided]:
    sent = service.load_signals(execution_id, *REVIEW_SIGNALS)
    return [Decided(REVIEW_SIGNALS[each.name].model_validate(each.payload), each.sent_at) for each in sent]


def _numbered(doubts: Doubts, text: str) -> list[Doubt]:
    facts: list[dict[str, Any]] = [
        {
            "text": f"{entity.name} ({entity.type})",
            "confidence": entity.confidence,
            "sentences": (_around(text, entity.mentions[0]),),
            "entity": entity.id,
        }
        for entity in doubts.entities
    ]
    facts += [
        {
            "text": f"{relation.subject} —{relation.predicate}→ {relation.object}",
            "confidence": relation.confidence,
            "sentences": tuple(as_read(text[span.start : span.end]) for span in relation.evidence),
            "relation": triple_of(relation),
        }
        for relation in doubts.relations
    ]
    return [Doubt(number=number, **fact) for number, fact in enumerate(facts, start=1)]


def _around(text: str, span: Span) -> str:
    """The words about a mention; where others are left out there is an ellipsis."""
    start, end = max(span.start - _AROUND, 0), min(span.end + _AROUND, len(text))
    before, after = text[start : span.start], text[span.end : end]
    if start > 0 and not _is_between_words(text, start):
        before = _WORD_AT_START.sub("", before)
    if end < len(text) and not _is_between_words(text, end):
        after = _WORD_AT_END.sub("", after)
    words = as_read(before + text[span.start : span.end] + after)
    return f"{'… ' if start > 0 else ''}{words}{' …' if end < len(text) else ''}"


def _is_between_words(text: str, position: int) -> bool:
    return text[position - 1].isspace() or text[position].isspace()


def _is_in(doubt: Doubt, doubts: Doubts) -> bool:
    return any(entity.id == doubt.entity for entity in doubts.entities) or any(
        triple_of(relation) == doubt.relation for relation in doubts.relations
    )
