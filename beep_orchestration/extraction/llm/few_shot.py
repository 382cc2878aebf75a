"""Examples that are shown to a language model: the given ones that are most like what it is to read."""

import re
from collections.abc import Collection, Sequence
from functools import cached_property

from beep_orchestration.digests import canonical_digest
from beep_orchestration.extraction.examples import is_in
from beep_orchestration.extraction.model import Example, ExampleTriple

_WORD = re.compile(r"\w+")
_NO_FACT = "no fact"


class Examples:
    """Examples of what texts state, in the order in which they were given."""

    def __init__(self, examples: Sequence[Example] = ()) -> None:
        self._examples = examples

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all examples."""
        return canonical_digest([example.model_dump(mode="json") for example in self._examples])

    def __len__(self) -> int:
        return len(self._examples)

    def shown(self, text: str, relations: Collection[str], most: int) -> str:
        """The closest examples as the model reads them, a line each: a text and the facts that it states."""
        return "\n".join(
            f"{' '.join(example.text.split())} => "
            + ("; ".join(f"{fact.subject} | {fact.relation} | {fact.object}" for fact in example.triples) or _NO_FACT)
            for example in self.closest(text, relations, most)
        )

    def closest(self, text: str, relations: Collection[str], most: int) -> list[Example]:
        """At most so many of the examples that share most of their words with the text, best first.

        Those that show a relation, or that there is no fact, which no better one shows, then the others: some may show
        known relations besides, so where there are few places a relation can be left out. An example without facts of
        these relations is left out, unless it was given without. Deterministic: of equals the first.
        """
        words = _words(text)
        ranked = sorted(self._read, key=lambda read: -len(words & read[0]) / (len(read[0]) or 1))
        shown: set[str] = set()
        new: list[tuple[Example, tuple[ExampleTriple, ...]]] = []
        others: list[tuple[Example, tuple[ExampleTriple, ...]]] = []
        for _, example in ranked:
            facts = tuple(fact for fact in example.triples if fact.relation in relations)
            if facts or not example.triples:
                kinds = {fact.relation for fact in facts} or {_NO_FACT}
                (others if kinds <= shown else new).append((example, facts))
                shown |= kinds
        return [example.model_copy(update={"triples": facts}) for example, facts in [*new, *others][:most]]

    @cached_property
    def _read(self) -> list[tuple[frozenset[str], Example]]:
        """The words of each example, and what of it can be read in it: facts whose names stand there."""
        return [
            (_words(example.text), example.model_copy(update={"triples": facts}))
            for example in self._examples
            if (facts := tuple(fact for fact in example.triples if is_in(example.text, fact))) or not example.triples
        ]


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold()))
