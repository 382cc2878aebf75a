"""Reading the data: one JSON object a line, in the formats of Text2KGBench and Re-DocRED as `shared/eval` has them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.scores.triples import Triple, Vocabulary, relation_names


@dataclass(frozen=True)
class Sentence:
    id: str
    text: str
    triples: tuple[Triple, ...]


@dataclass(frozen=True)
class Benchmark:
    """One ontology of Text2KGBench: `test` and `unseen` are to be answered, `train` may be learned from."""

    name: str
    turtle: str
    vocabulary: Vocabulary
    train: tuple[Sentence, ...]
    test: tuple[Sentence, ...]
    unseen: tuple[Sentence, ...]


@dataclass(frozen=True)
class NamedEntity:
    type: str
    spans: frozenset[tuple[int, int]]


@dataclass(frozen=True)
class NamedDocument:
    id: str
    text: str
    entities: tuple[NamedEntity, ...]


def load_benchmarks(folder: Path) -> Iterator[Benchmark]:
    """Every ontology in the folder or below it that has test sentences, by name."""
    for file in sorted(folder.rglob("*_ontology.json")):
        name = file.name.removesuffix("_ontology.json")
        test = file.with_name(f"{name}_test.jsonl")
        if test.is_file():
            ontology = json.loads(file.read_text(encoding="utf-8"))
            yield Benchmark(
                name=name,
                turtle=file.with_name(f"{name}.ttl").read_text(encoding="utf-8"),
                vocabulary=_vocabulary(ontology),
                train=_examples(_rows(file.with_name(f"{name}_train.jsonl"))),
                test=_sentences(_rows(test)),
                unseen=_sentences(_rows(file.with_name(f"{name}_unseen.jsonl"))),
            )


def load_named_documents(folder: Path) -> Iterator[NamedDocument]:
    """Every document of the files `redocred*.jsonl` in the folder or below it."""
    for file in sorted(folder.rglob("redocred*.jsonl")):
        for row in _rows(file):
            entities = tuple(
                NamedEntity(entity["type"], frozenset((found["start"], found["end"]) for found in entity["mentions"]))
                for entity in row["entities"]
            )
            yield NamedDocument(row["id"], row["text"], entities)


def _vocabulary(ontology: dict[str, Any]) -> Vocabulary:
    return Vocabulary(
        concepts=tuple(concept["label"] for concept in ontology["concepts"]),
        relations=relation_names(relation["label"] for relation in ontology["relations"]),
    )


def _sentences(rows: Sequence[dict[str, Any]]) -> tuple[Sentence, ...]:
    return tuple(
        Sentence(
            row["id"],
            row["sent"],
            tuple(Triple(found["sub"], found["rel"], found["obj"]) for found in row["triples"]),
        )
        for row in rows
    )


def _examples(rows: Sequence[dict[str, Any]]) -> tuple[Sentence, ...]:
    """A row has one triple; those of one sentence are put together. Sentences of the test are left out."""
    by_text: dict[str, list[Triple]] = {}
    for row in rows:
        if not row.get("in_test"):
            triple = Triple(row["sub_label"], row["rel_label"].strip(), row["obj_label"])
            by_text.setdefault(row["sent"], []).append(triple)
    return tuple(Sentence(str(number), text, tuple(triples)) for number, (text, triples) in enumerate(by_text.items()))


def _rows(file: Path) -> list[dict[str, Any]]:
    if not file.is_file():
        return []
    with file.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]
