"""Names in a chunk: what spaCy's named entity recognizer finds, repaired and completed by what names look like."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from beep_orchestration.extraction.labels import PLACES
from beep_orchestration.extraction.local.language_model import Analysis, identity, read
from beep_orchestration.extraction.local.name_parts import repaired
from beep_orchestration.extraction.local.name_shapes import shaped
from beep_orchestration.extraction.local.name_spans import Named, disjoint
from beep_orchestration.extraction.local.recurrence import KnownNames
from beep_orchestration.extraction.model import Chunk, Mention
from beep_orchestration.extraction.ontology import Ontology
from beep_orchestration.extraction.prose import Block, blocks

if TYPE_CHECKING:
    from spacy.tokens import Doc

_CONFIDENT, _LIKELY, _DOUBTFUL = 0.8, 0.7, 0.6
_INSIDE = re.compile(r"\b(?:in|near)(?: the)?[ \"'“]*$", re.IGNORECASE)
_LED_BY = re.compile(r"(?:\b(?:at|from|to|of|across|throughout|outside|around)(?: the)?[ \"'“]|,) ?$", re.IGNORECASE)


class LocalMentionExtractor:
    """`MentionExtractor` by the local model."""

    @property
    def identity(self) -> str:
        """Model, its version and the digest of the rules; loads nothing."""
        return identity("local-mentions")

    def extract_mentions(self, text: str, chunk: Chunk, ontology: Ontology) -> list[Mention]:  # noqa: ARG002
        """As the protocol says; the ontology changes nothing here."""
        prose = list(blocks(text, chunk))
        found = read(Analysis.NAMES, (block.text for block in prose), recognized)
        return [mention(text, block, name) for block, names in zip(prose, found, strict=True) for name in names]


def recognized(docs: Iterable["Doc"]) -> list[list[Named]]:
    """The names in documents that belong together: those recognized in one of them are known in the others."""
    found = [(doc.text, _names(doc)) for doc in docs]
    known = KnownNames(found)
    return [known.complete(text, names) for text, names in found]


def _names(doc: "Doc") -> list[Named]:
    text = doc.text  # put together anew each time that it is asked for
    recognized = [
        name for entity in doc.ents for name in repaired(text, Named(entity.start_char, entity.end_char, entity.label_))
    ]
    return disjoint(shaped(text, disjoint(recognized)), recognized)


def mention(text: str, block: Block, name: Named) -> Mention:
    """A name of a block, in the document's offsets."""
    span = block.span(name.start, name.end)
    return Mention(
        start=span.start,
        end=span.end,
        text=text[span.start : span.end],
        label=name.label,
        confidence=_confidence(block.text, name),
    )


def _confidence(text: str, name: Named) -> float:
    """Places are what the recognizer gets wrong most; how sure one is shows in the word before it."""
    before = text[max(0, name.start - 20) : name.start]
    if name.label not in PLACES or _INSIDE.search(before):
        return _CONFIDENT
    return _LIKELY if _LED_BY.search(before) else _DOUBTFUL
