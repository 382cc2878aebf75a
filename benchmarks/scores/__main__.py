"""Score an extractor: `python -m benchmarks.scores FOLDER [--extractor local]`; prints tables and writes JSON."""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table

from beep_orchestration.extraction import Extractors, local_extractors, taught_extractors
from benchmarks.scores.answers import answer, examples, named_entities
from benchmarks.scores.data import Benchmark, Sentence, load_benchmarks, load_named_documents
from benchmarks.scores.names import score_names
from benchmarks.scores.speed import measure
from benchmarks.scores.triples import score_sentence, summed_up

DOCUMENTS = Path(__file__).parents[2] / "examples" / "documents"

_TRIPLE_COLUMNS = {
    "sentences": "sent.",
    "answered": "answers",
    "precision": "P",
    "recall": "R",
    "f1": "F1",
    "micro_precision": "micro P",
    "micro_recall": "R",
    "micro_f1": "F1",
    "conformance": "in ontology",
    "admitted": "in domain, range",
    "invented_subjects": "invented subjects",
    "invented_objects": "objects",
}
_EXTRACTORS: dict[str, Callable[[Benchmark], Extractors]] = {
    "local": lambda _: local_extractors(),
    "taught": lambda benchmark: taught_extractors(examples(benchmark)),
}


def main() -> None:
    """Score what the folder holds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scores")
    parser.add_argument("folder", type=Path, help="Text2KGBench and Re-DocRED files, in it or below it")
    parser.add_argument("--extractor", choices=_EXTRACTORS, default="local")
    parser.add_argument("--output", type=Path, help="default: benchmarks/scores/EXTRACTOR.json")
    arguments = parser.parse_args()
    benchmarks, documents = list(load_benchmarks(arguments.folder)), list(load_named_documents(arguments.folder))
    if not benchmarks and not documents:
        parser.error(f"{arguments.folder} has neither *_ontology.json with *_test.jsonl nor redocred*.jsonl")
    results: dict[str, Any] = {"extractor": arguments.extractor}
    if benchmarks:
        results["triples"] = _triples(benchmarks, _EXTRACTORS[arguments.extractor])
    if documents:
        found = [list(named_entities(document.text, local_extractors())) for document in documents]
        results["names"] = asdict(score_names(documents, found))
    results["speed"] = asdict(measure(_example_texts(), local_extractors()))
    _show(results)
    output = arguments.output or Path(__file__).with_name(f"{arguments.extractor}.json")
    output.write_text(json.dumps(_rounded(results), indent=1) + "\n", encoding="utf-8")


def _triples(benchmarks: Sequence[Benchmark], make: Callable[[Benchmark], Extractors]) -> dict[str, dict[str, float]]:
    scores = {}
    for benchmark in benchmarks:
        extractors = make(benchmark)
        for part, sentences in (("test", benchmark.test), ("unseen", benchmark.unseen)):
            if sentences:
                scores[f"{benchmark.name} {part}"] = _score(benchmark, sentences, extractors)
    for part in ("test", "unseen"):
        of_part = [score for name, score in scores.items() if name.endswith(part)]
        if of_part:
            scores[f"all {part}"] = {key: fmean(score[key] for score in of_part) for key in _TRIPLE_COLUMNS}
    return scores


def _score(benchmark: Benchmark, sentences: Sequence[Sentence], extractors: Extractors) -> dict[str, float]:
    answers = [answer(sentence, benchmark.turtle, extractors) for sentence in sentences]
    scores = summed_up(
        [
            score_sentence(sentence.text, sentence.triples, given.triples, benchmark.vocabulary)
            for sentence, given in zip(sentences, answers, strict=True)
        ]
    )
    triples = sum(len(given.triples) for given in answers)
    return asdict(scores) | {"admitted": sum(given.admitted for given in answers) / triples if triples else 1.0}


def _example_texts() -> list[str]:
    return [file.read_text(encoding="utf-8") for file in sorted(DOCUMENTS.glob("*.txt"))]


def _show(results: dict[str, Any]) -> None:
    console = Console(width=160)
    if "triples" in results:
        _print(console, f"Triples, {results['extractor']} extractor", _TRIPLE_COLUMNS, results["triples"])
    if "names" in results:
        scores = {name: score for name, score in results["names"].items() if name != "documents"}
        columns = {"precision": "P", "recall": "R", "f1": "F1"}
        _print(console, f"Names, exact; {results['names']['documents']} documents", columns, scores)
    speed = results["speed"]
    console.print(
        f"{speed['documents']} example documents: {speed['tokens_per_second']:,.0f} tokens a second,"
        f" {speed['tokens_per_cpu_second']:,.0f} a CPU second,"
        f" peak memory {speed['peak_memory']:,.0f} MB, growth {speed['memory_growth_per_document']:.1f} MB a document"
    )


def _print(console: Console, title: str, columns: dict[str, str], rows: dict[str, dict[str, float]]) -> None:
    table = Table(title=title)
    for heading in ("", *columns.values()):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=not heading)
    for name, row in rows.items():
        table.add_row(name.replace("_", " "), *(_text(row[key]) for key in columns))
    console.print(table)


def _text(value: float) -> str:
    return f"{value:.3f}" if isinstance(value, float) and value <= 1 else f"{value:,.0f}"


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return round(value, 4) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
