"""What was learned, kept in files, so that another process need not learn it again."""

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beep_orchestration.extraction.taught.classifiers import Classifier

if TYPE_CHECKING:
    from numpy.typing import NDArray

Classifiers = Mapping[str, Classifier | None]

_MOST_FILES = 32


class Shelf:
    """Classifiers in the files of a folder, by name under a key that covers all that shaped them.

    A file is whole or not there, whoever writes it and dies; one that cannot be read or written is as good as none.
    The files last used are kept. They hold numbers and names only, and nothing in them is run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, key: str) -> Classifiers | None:
        """What was put under the key."""
        import numpy as np  # noqa: PLC0415 - slow to import

        path = self._path(key)
        try:
            with np.load(path, allow_pickle=False) as stored:
                found = _unpacked(stored)
            os.utime(path)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        return found

    def put(self, key: str, classifiers: Classifiers) -> None:
        """Keep them, if the folder can be written to."""
        import numpy as np  # noqa: PLC0415

        arrays: dict[str, Any] = dict(_packed(classifiers))
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self._folder, suffix=".part")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    np.savez_compressed(file, allow_pickle=False, **arrays)
                Path(name).replace(self._path(key))
            finally:
                Path(name).unlink(missing_ok=True)
            self._forget_oldest()

    def _path(self, key: str) -> Path:
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()}.npz"

    def _forget_oldest(self) -> None:
        newest_first = sorted(self._folder.glob("*.npz"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in newest_first[_MOST_FILES:]:
            path.unlink(missing_ok=True)


def _packed(classifiers: Classifiers) -> "Iterator[tuple[str, NDArray[Any]]]":
    import numpy as np  # noqa: PLC0415

    yield "names", np.array(sorted(classifiers), dtype=np.str_)
    for name, classifier in classifiers.items():
        for part, array in (classifier.arrays() if classifier is not None else {}).items():
            yield f"{name} {part}", array


def _unpacked(stored: "Mapping[str, NDArray[Any]]") -> Classifiers:
    found: dict[str, Classifier | None] = {}
    for name in map(str, stored["names"]):
        parts = {key.partition(" ")[2]: stored[key] for key in stored if key.partition(" ")[0] == name}
        found[name] = Classifier.of_arrays(parts) if parts else None
    return found
