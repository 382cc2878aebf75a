"""Types for candidates, as a language model chooses them among the ontology's classes."""

from collections.abc import Sequence

from beep_orchestration.extraction.llm.calls import Calls, Tally
from beep_orchestration.extraction.llm.identity import identity
from beep_orchestration.extraction.llm.prompts import NONE, TYPES, candidate_line, joins_of, material, types_of
from beep_orchestration.extraction.llm.questions import Question, TypedThing, TypesAnswer
from beep_orchestration.extraction.local.entities import entity, named_after_its_country
from beep_orchestration.extraction.model import Candidate, Entity, Mention
from beep_orchestration.extraction.ontology import THING, Ontology
from beep_orchestration.extraction.prose import plain

_CHOSEN, _UNTYPED = 0.85, 0.5
_CONTEXTS = 2  # of a candidate's mentions, the first ones; enough to know a thing by
_WINDOW = 120


class LlmEntityClassifier:
    """`EntityClassifier` by a language model: one call for each batch of candidates."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    @property
    def identity(self) -> str:
        """The model and the digest of prompts and checks."""
        return identity("llm-entities", self._calls.identity)

    def classify_entities(self, text: str, candidates: Sequence[Candidate], ontology: Ontology) -> list[Entity]:
        """As the protocol says.

        What the model gives no type, or one that the ontology lacks, is a `Thing`; it may say so too, for relations
        without a range join things of no class ('publication date' and '1984').
        """
        if not candidates:
            return []
        lines = (
            candidate_line(number, candidate, [_context(text, mention) for mention in candidate.mentions[:_CONTEXTS]])
            for number, candidate in enumerate(candidates, start=1)
        )
        names = dict.fromkeys((*(found.name for found in ontology.classes), THING, NONE))
        question = Question(
            instructions=f"{TYPES}\n{types_of(ontology)}\n{joins_of(ontology)}",
            material=material(("Candidates, and where the document names them:", "\n".join(lines))),
            answer_type=TypesAnswer,
            allowed=(("TypedThing", "type", tuple(names)),),
        )
        return self._calls.ask(question, lambda answer, tally: _entities(candidates, answer.entities, ontology, tally))


def _context(text: str, mention: Mention) -> str:
    return plain(text[max(0, mention.start - _WINDOW) : mention.end + _WINDOW])


def _entities(
    candidates: Sequence[Candidate], chosen: Sequence[TypedThing], ontology: Ontology, tally: Tally
) -> list[Entity]:
    types = _types_by_number(chosen, len(candidates), ontology, tally)
    tally["types_missing"] += sum(number not in types for number in range(1, len(candidates) + 1))
    return [
        entity(named_after_its_country(candidate, type_name), type_name, _UNTYPED if type_name == THING else _CHOSEN)
        for number, candidate in enumerate(candidates, start=1)
        if (type_name := types.get(number, THING)) != NONE
    ]


def _types_by_number(chosen: Sequence[TypedThing], count: int, ontology: Ontology, tally: Tally) -> dict[int, str]:
    """The first type given to each candidate; names of classes are compared without case, labels count as names."""
    known = {THING.casefold(): THING}
    known |= {label.casefold(): found.name for found in ontology.classes for label in found.labels}
    known |= {found.name.casefold(): found.name for found in ontology.classes} | {NONE: NONE}
    types: dict[int, str] = {}
    for thing in chosen:
        type_name = known.get(thing.type.strip().casefold())
        if not 1 <= thing.number <= count or type_name is None or thing.number in types:
            tally["types_dropped"] += 1
        else:
            types[thing.number] = type_name
    return types
