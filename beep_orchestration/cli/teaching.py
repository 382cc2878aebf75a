"""The command that stores examples for the local extractor."""

from pathlib import Path
from typing import Annotated

import typer

from beep_orchestration.cli.invocation import AsJson, connected, print_json, print_text, print_warning
from beep_orchestration.cli.starting import read_text
from beep_orchestration.counts import counted


def teach(
    ctx: typer.Context,
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="Examples, a JSON object a line; - is stdin.", show_default=False),
    ],
    name: Annotated[str, typer.Option(help="What 'beep start --examples' calls them.", show_default=False)],
    ontology: Annotated[
        Path | None,
        typer.Option(help="The Turtle file that has their relations; otherwise the built-in.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Store sentences with their triples under a name, for executions whose local extractor shall learn from them.

    A line is {"text": "...", "triples": [{"subject": "...", "relation": "...", "object": "..."}]}. Twenty to eighty
    sentences for each relation serve well. A name that is there is given the new examples; executions that were
    started before keep theirs. What teaches nothing is warned of.

        beep teach examples/teaching/films.jsonl --name films --ontology examples/teaching/films.ttl

        beep start examples/teaching/review.txt --examples films --ontology examples/teaching/films.ttl
    """
    from beep_orchestration.extraction import load_ontology, parse_examples  # noqa: PLC0415 - loads rdflib
    from beep_orchestration.extraction.examples import check_examples, warnings_about  # noqa: PLC0415

    examples = parse_examples(read_text(file, "examples"))
    check_examples(examples, load_ontology(None if ontology is None else read_text(str(ontology), "ontology")))
    with connected(ctx) as service:
        service.teach(name, examples)
    triples = sum(len(example.triples) for example in examples)
    warnings = warnings_about(examples)
    for warning in warnings:
        print_warning(warning)
    if as_json:
        print_json({"name": name, "examples": len(examples), "triples": triples, "warnings": warnings})
    else:
        print_text(f"stored {name}: {counted(len(examples), 'example')}, {counted(triples, 'triple')}")
