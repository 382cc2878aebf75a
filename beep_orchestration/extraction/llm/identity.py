"""What an LLM extractor's checkpoints are bound to: the model, and all that shapes questions and answers here."""

import hashlib
from functools import lru_cache
from importlib import resources

from beep_orchestration.extraction.llm.few_shot import Examples


def identity(extractor: str, model: str, examples: Examples | None = None) -> str:
    """The extractor's name, a space, and its version: the model, the digest of prompts and checks, that of examples."""
    shown = f" examples-{examples.digest[:12]}" if examples else ""
    return f"{extractor} {model} prompts-{_prompts_digest()}{shown}"


@lru_cache(maxsize=1)
def _prompts_digest() -> str:
    """Over the sources of this package and of the prose that it reads."""
    extraction = resources.files(__package__.rpartition(".")[0])
    files = [file for file in resources.files(__package__).iterdir() if file.name.endswith(".py")]
    files += [
        extraction.joinpath(name) for name in ("prose.py", "markup.py", "ontology.py", "builtin.ttl", "demonyms.py")
    ]
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda found: found.name):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
