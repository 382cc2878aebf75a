"""What was learned is kept in files: it answers as before, and whatever is wrong with a file, learning is done anew."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from beep_orchestration.extraction import extract, extractors_for
from beep_orchestration.extraction.model import Example, ExtractionInput
from beep_orchestration.extraction.taught import learning, shelf
from beep_orchestration.extraction.taught.classifiers import Classifier
from beep_orchestration.extraction.taught.shelf import Shelf
from tests.extraction.films import ONTOLOGY, films

TEXT = "The Night of the Hunter is a 1955 thriller film directed by Charles Laughton."
DOCUMENT = ExtractionInput(document_id="d", text=TEXT, ontology=ONTOLOGY, examples=tuple(films()))
FEATURES = [["a", "b"], ["a", "c"], ["b", "c"], ["a"], ["b"], ["c"]] * 3


@pytest.fixture
def learned(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one whenever something is learned; each `Pupil` is as in a new process."""
    times: list[int] = []
    learn = learning._learn
    monkeypatch.setattr(learning, "_learn", lambda *given: times.append(1) or learn(*given))
    monkeypatch.setattr(learning, "_MOST_KEPT", 1)
    return times


def graph_by(folder: Path, document: ExtractionInput = DOCUMENT) -> str:
    learning.Pupil._kept.clear()
    return extract(document, extractors_for(document, folder)).model_dump_json()


def test_another_process_learns_nothing_and_finds_the_same(tmp_path: Path, learned: list[int]) -> None:
    first = graph_by(tmp_path / "shelf")
    assert graph_by(tmp_path / "shelf") == first
    assert len(learned) == 1
    assert '"film maker"' in first


def test_other_examples_rules_or_ontologies_are_learned_from_anew(
    tmp_path: Path, learned: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    graph_by(tmp_path)
    graph_by(tmp_path, DOCUMENT.model_copy(update={"examples": DOCUMENT.examples[1:]}))
    graph_by(tmp_path, DOCUMENT.model_copy(update={"ontology": ONTOLOGY + "\n:Studio a owl:Class .\n"}))
    monkeypatch.setattr(learning, "identity", lambda *_: "other rules")
    graph_by(tmp_path)
    assert len(learned) == 4


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x05\x06" + bytes(18)])
def test_a_file_that_cannot_be_read_is_replaced(tmp_path: Path, learned: list[int], content: bytes) -> None:
    first = graph_by(tmp_path)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for spoilt in (content, whole[: len(whole) // 2]):
        file.write_bytes(spoilt)
        assert graph_by(tmp_path) == first
        assert graph_by(tmp_path) == first
    assert len(learned) == 3


def test_what_is_pickled_is_not_loaded(tmp_path: Path) -> None:
    kept = Shelf(tmp_path)
    kept.put("key", {"spans": None})
    (file,) = tmp_path.iterdir()
    np.savez(file, names=np.array([{"run": "me"}], dtype=object))
    assert kept.find("key") is None


def test_a_folder_that_cannot_be_written_to_does_no_harm(tmp_path: Path, learned: list[int]) -> None:
    (tmp_path / "file").touch()
    assert graph_by(tmp_path / "file" / "shelf") == graph_by(tmp_path / "file" / "shelf")
    assert len(learned) == 2


def test_the_files_last_used_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "_MOST_FILES", 2)
    kept = Shelf(tmp_path)
    for key in ("first", "second"):
        kept.put(key, {"spans": None})
    for path in tmp_path.iterdir():
        path.touch()
    assert kept.find("first") == {"spans": None}
    kept.put("third", {"spans": None})
    assert [kept.find(key) is not None for key in ("first", "second", "third")] == [True, False, True]
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("count", [2, 3])
def test_the_kinds_are_as_probable_as_scikit_learn_says(count: int) -> None:
    kinds = [f"kind {sum(map(ord, ''.join(names))) % count}" for names in FEATURES]
    table = CountVectorizer(analyzer=list, binary=True, dtype=float).fit_transform(FEATURES)
    expected = LogisticRegression(tol=1e-3, max_iter=200).fit(table, kinds).predict_proba(table)
    found = Classifier.of_kinds(FEATURES, kinds)
    assert found.classes == tuple(sorted(set(kinds)))
    np.testing.assert_allclose(found.probabilities(FEATURES), expected, rtol=1e-9)


def test_a_relation_that_is_the_only_one_is_told_from_none() -> None:
    relations = [frozenset({"made by"}) if "a" in names else frozenset() for names in FEATURES]
    found = Classifier.of_relations(FEATURES, relations)
    with_it, without = found.probabilities([["a", "b"], ["b", "c"]])[:, 0]
    assert (found.classes, with_it > 0.5, without < 0.5) == (("made by",), True, True)


def test_a_relation_of_all_is_certain() -> None:
    found = Classifier.of_relations(FEATURES, [frozenset({"made by"})] * len(FEATURES))
    assert found.probabilities([["a"]]).tolist() == [[1.0]]


def test_one_relation_is_learned_too() -> None:
    only = tuple(
        Example(text=example.text, triples=tuple(each for each in example.triples if each.relation == "film maker"))
        for example in films()
    )
    graph = extract(DOCUMENT.model_copy(update={"examples": only}))
    names = {entity.id: entity.name for entity in graph.entities}
    assert {(names[found.subject], names[found.object]) for found in graph.relations} == {
        ("The Night of the Hunter", "Charles Laughton")
    }
