"""Examples that are shown to a language model: the given ones that are most like what it is to read."""

import re
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property

from beep_orchestration.digests import canonical_digest
from beep_orchestration.extraction.model import Example

_WORD = re.compile(r"\w+")
_MOST = 12  # enough to show what is meant; each is paid for with every question


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

    def closest(self, text: str, relations: Collection[str]) -> list[Example]:
        """The examples that share most of their words with the text, best first; those of other relations are left out.

        Linear in the examples, and deterministic: of equals the first.
        """
        words = _words(text)
        fitting = (
            (-len(words & seen) / (len(seen) or 1), number, example)
            for number, (seen, example) in enumerate(zip(self._word_sets, self._examples, strict=True))
            if not example.triples or any(triple.relation in relations for triple in example.triples)
        )
        return [example for _, _, example in sorted(fitting, key=lambda found: found[:2])[:_MOST]]

    @cached_property
    def _word_sets(self) -> list[frozenset[str]]:
        return [_words(example.text) for example in self._examples]


def shown(examples: Iterable[Example]) -> str:
    """Examples as the model reads them, each a text and the facts that it states."""
    return "\n".join(
        f"{' '.join(example.text.split())} => "
        + ("; ".join(f"{fact.subject} | {fact.relation} | {fact.object}" for fact in example.triples) or "no fact")
        for example in examples
    )


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold()))
