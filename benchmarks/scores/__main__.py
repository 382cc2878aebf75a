"""Score an extractor: `python -m benchmarks.scores FOLDER [--extractor local]`; prints tables and writes JSON."""

import argparse
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table

from beep_orchestration.errors import BeepError
from beep_orchestration.extraction import Extractors, local_extractors, taught_extractors
from beep_orchestration.extraction.llm import llm_extractors
from beep_orchestration.extraction.llm.calls import UnrecordedCalls
from beep_orchestration.extraction.llm.language_model import language_model, require_llm
from beep_orchestration.extraction.model import ExtractionOptions
from beep_orchestration.settings import load_settings
from benchmarks.scores.answers import answer, examples, named_entities
from benchmarks.scores.calls import PatientCalls
from benchmarks.scores.data import Benchmark, NamedDocument, Sentence, load_benchmarks, load_named_documents
from benchmarks.scores.names import score_names
from benchmarks.scores.speed import measure
from benchmarks.scores.triples import score_sentence, summed_up

T = TypeVar("T")
R = TypeVar("R")

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
_THREADS = {"llm": 16}
"""How many sentences are answered at the same time; the local model is used by one thread at a time."""


def _extractors(name: str, benchmark: Benchmark | None) -> Extractors:
    """Those to be scored; what is not about an ontology of the benchmark has no examples to learn from."""
    if name == "llm":
        require_llm(load_settings(), ExtractionOptions())
        model = language_model(load_settings())
        model.check()
        shown = examples(benchmark) if benchmark is not None else []
        return llm_extractors(PatientCalls(UnrecordedCalls(model)), shown)
    if name == "taught" and benchmark is not None:
        return taught_extractors(examples(benchmark))
    return local_extractors()


def main() -> None:
    """Score what the folder holds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scores")
    parser.add_argument("folder", type=Path, help="Text2KGBench and Re-DocRED files, in it or below it")
    parser.add_argument("--extractor", choices=("local", "taught", "llm"), default="local")
    parser.add_argument("--sentences", type=int, help="at most so many of each file, for calls that cost money")
    parser.add_argument("--output", type=Path, help="default: benchmarks/scores/EXTRACTOR.json")
    arguments = parser.parse_args()
    benchmarks, documents = list(load_benchmarks(arguments.folder)), list(load_named_documents(arguments.folder))
    if not benchmarks and not documents:
        parser.error(f"{arguments.folder} has neither *_ontology.json with *_test.jsonl nor redocred*.jsonl")
    try:
        results = _results(benchmarks, documents, arguments.extractor, arguments.sentences)
    except BeepError as error:
        parser.error(str(error))
    _show(results)
    output = arguments.output or Path(__file__).with_name(f"{arguments.extractor}.json")
    output.write_text(json.dumps(_rounded(results), indent=1) + "\n", encoding="utf-8")


def _results(
    benchmarks: Sequence[Benchmark], documents: Sequence[NamedDocument], extractor: str, most: int | None
) -> dict[str, Any]:
    chosen = _extractors(extractor, None)
    results: dict[str, Any] = {"extractor": extractor}
    if benchmarks:
        results["triples"] = _triples(benchmarks, extractor, most)
    if documents:
        found = _each(lambda document: list(named_entities(document.text, chosen)), documents, extractor)
        results["names"] = asdict(score_names(documents, found))
    return results | {"speed": asdict(measure(_example_texts(), chosen))}


def _each(call: Callable[[T], R], values: Sequence[T], extractor: str) -> list[R]:
    with ThreadPoolExecutor(_THREADS.get(extractor, 1)) as pool:
        return list(pool.map(call, values))


def _triples(benchmarks: Sequence[Benchmark], extractor: str, most: int | None) -> dict[str, dict[str, float]]:
    scores = {}
    for benchmark in benchmarks:
        for part, sentences in (("test", benchmark.test[:most]), ("unseen", benchmark.unseen[:most])):
            if sentences:
                scores[f"{benchmark.name} {part}"] = _score(benchmark, sentences, extractor)
    for part in ("test", "unseen"):
        of_part = [score for name, score in scores.items() if name.endswith(part)]
        if of_part:
            scores[f"all {part}"] = {key: fmean(score[key] for score in of_part) for key in _TRIPLE_COLUMNS}
    return scores


def _score(benchmark: Benchmark, sentences: Sequence[Sentence], extractor: str) -> dict[str, float]:
    extractors = _extractors(extractor, benchmark)
    answers = _each(lambda sentence: answer(sentence, benchmark.turtle, extractors), sentences, extractor)
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
