"""Names in a chunk: what the examples say are ends of relations, and what the local extractor finds besides."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from beep_orchestration.extraction.labels import UNKNOWN
from beep_orchestration.extraction.local.language_model import Analysis, identity, read
from beep_orchestration.extraction.local.mentions import mention, recognized
from beep_orchestration.extraction.local.name_spans import Named, disjoint
from beep_orchestration.extraction.local.type_words import WORD_LABELS
from beep_orchestration.extraction.model import Chunk, Mention
from beep_orchestration.extraction.ontology import Ontology
from beep_orchestration.extraction.prose import blocks
from beep_orchestration.extraction.taught.learning import Judgement, Pupil, class_or_label

if TYPE_CHECKING:
    from spacy.tokens import Doc


class TaughtMentionExtractor:
    """`MentionExtractor` that has learned from examples."""

    def __init__(self, pupil: Pupil) -> None:
        self._pupil = pupil

    @property
    def identity(self) -> str:
        """Model, rules and the digest of the examples; loads and learns nothing."""
        return identity("taught-mentions", "taught") + f" examples-{self._pupil.digest[:12]}"

    def extract_mentions(self, text: str, chunk: Chunk, ontology: Ontology) -> list[Mention]:
        """As the protocol says; where an end of a relation overlaps a name, the end is meant."""
        learned = self._pupil.learned(ontology)
        prose = list(blocks(text, chunk))

        def found_in(docs: "Sequence[Doc]") -> list[list[Named]]:
            return [
                disjoint(
                    [_named(doc, end, ontology) for end in learned.ends(doc, names) if _has_content(doc, end)], names
                )
                for doc, names in zip(docs, recognized(docs), strict=True)
            ]

        found = read(Analysis.EVERYTHING, (block.text for block in prose), found_in)
        return [mention(text, block, name) for block, names in zip(prose, found, strict=True) for name in names]


def _has_content(doc: "Doc", end: Judgement) -> bool:
    """Whether it is more than words that name nothing: in 'the only film', 'only' stands where a genre does."""
    return not all(token.is_stop and token.is_lower for token in doc[end.span.start : end.span.end])


def _named(doc: "Doc", end: Judgement, ontology: Ontology) -> Named:
    span = doc[end.span.start : end.span.end]
    return Named(span.start_char, span.end_char, _label(end, ontology))


def _label(end: Judgement, ontology: Ontology) -> str:
    """The coarse type of what the examples say it is, else what the recognizer says."""
    kind = class_or_label(ontology, end.kind, end.span.label)
    last_word = kind.casefold().split()[-1:]
    return WORD_LABELS.get("".join(last_word)) or class_or_label(ontology, "", end.span.label) or UNKNOWN
