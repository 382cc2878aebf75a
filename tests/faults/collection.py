"""A workflow type for campaigns: a parent with work of its own before and after that of its children.

What it yields follows from what its children yield, byte for byte: the digest of each one's graph.
"""

import time
from functools import partial
from typing import Any

import dagster as dg
from pydantic import BaseModel, Field

from beep_orchestration.workflow_types import EXTRACTION, ActivityType, WorkflowType
from beep_orchestration.workflows import Stage, stage_op, workflow_job
from tests.faults.oracle import graph_digest

_PACE = 0.1


class Collection(dg.Config):
    """The input: what each child is to extract, by its name."""

    documents: dict[str, Any] = Field({})


class Part(BaseModel):
    """The input of an activity about one document."""

    name: str


CATALOGUE = ActivityType("catalogue", "list_documents", str)
BINDING = ActivityType("binding", "bind_graphs", dict[str, str])
COLLECTION = WorkflowType(name="collection", version=1, activity_types=(CATALOGUE, BINDING), input_model=Collection)


def _slowly(result: Any) -> Any:
    """An activity that takes a while, in which a fault may hit."""
    time.sleep(_PACE)
    return result


@stage_op(CATALOGUE, config=Collection)
def list_documents(stage: Stage) -> list[Any]:
    """Before there are children: the names that they will have."""
    return stage.run(
        [
            stage.activity(partial(_slowly, name), input=Part(name=name), code_version="1", name=f"catalogue-{number}")
            for number, name in enumerate(stage.input.documents)
        ]
    )


@stage_op(BINDING)
def bind_graphs(stage: Stage, names: list[Any]) -> list[Any]:
    """Starts all children, waits for each, and has one activity when they have ended."""
    documents = stage.input.documents
    for name in names:
        stage.start_child(name, EXTRACTION.name, documents[name])
    graphs = {name: stage.child(name, EXTRACTION.name, documents[name]) for name in names}
    digests = {name: graph_digest(graph) for name, graph in graphs.items()}
    bound = stage.run([stage.activity(partial(_slowly, digests), input=stage.input, code_version="1")])
    stage.complete({"digests": bound[0]})
    return bound


@workflow_job(COLLECTION)
def collection() -> None:
    """The graphs of several documents, each extracted by a child."""
    bind_graphs(list_documents())
