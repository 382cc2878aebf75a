"""What an LLM extractor's checkpoints are bound to: the model, and all that shapes questions and answers here."""

import hashlib
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable

from beep_orchestration.extraction.llm.few_shot import Examples

_OTHERS = (
    "builtin.ttl",
    "chunking.py",
    "demonyms.py",
    "examples.py",
    "local/entities.py",
    "local/type_words.py",
    "markup.py",
    "names.py",
    "ontology.py",
    "prose.py",
)
"""What this package calls to make its questions and to check the answers, and what that reads."""


def identity(extractor: str, model: str, examples: Examples | None = None) -> str:
    """The extractor's name, a space, and its version: the model, the digest of prompts and checks, that of examples."""
    shown = f" examples-{examples.digest[:12]}" if examples else ""
    return f"{extractor} {model} prompts-{_prompts_digest()}{shown}"


@lru_cache(maxsize=1)
def _prompts_digest() -> str:
    return _digest_of_sources(resources.files(__package__.rpartition(".")[0]))


def _digest_of_sources(extraction: Traversable) -> str:
    """Over the sources of this package and of what it calls, in the folder of the package above."""
    own = [file for file in extraction.joinpath("llm").iterdir() if file.name.endswith(".py")]
    digest = hashlib.sha256()
    for file in (*sorted(own, key=lambda found: found.name), *map(extraction.joinpath, _OTHERS)):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
