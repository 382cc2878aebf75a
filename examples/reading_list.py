"""A workflow type whose work is done by children: every text becomes a graph of its own, side by side."""

from typing import Any

import dagster as dg
from pydantic import Field

from beep_orchestration.workflow_types import ActivityType, WorkflowType
from beep_orchestration.workflows import Stage, stage_op, workflow_job


class ReadingList(dg.Config):
    """The input, and the form in the launchpad: texts by their names."""

    texts: dict[str, str] = Field({"ada": "Ada Lovelace met Charles Babbage in London."})


READING = ActivityType("reading", "read", dict[str, int])
READING_LIST = WorkflowType(name="reading_list", version=1, activity_types=(READING,), input_model=ReadingList)


@stage_op(READING, config=ReadingList)
def read(stage: Stage) -> list[Any]:
    """Starts all children before it waits for the first; it holds no process while they work."""
    documents = {name: {"document_id": name, "text": text} for name, text in stage.input.texts.items()}
    for name, document in documents.items():
        stage.start_child(name, "extraction", document)
    graphs = {name: stage.child(name, "extraction", document) for name, document in documents.items()}
    counts = {name: len(graph["entities"]) for name, graph in graphs.items()}
    counted = stage.run([stage.activity(lambda: counts, input=stage.input, code_version="1")])
    stage.complete({"entities": counted[0]})
    return counted


@workflow_job(READING_LIST)
def reading_list() -> None:
    """How many entities each text names."""
    read()
