"""Stock Dagster: the eleven activities as eleven ops, once for each executor."""

import dagster as dg


@dg.op
def chunk() -> list[int]:
    return [0, 1, 2, 3]


def _per_chunk(name: str) -> dg.OpDefinition:
    @dg.op(name=name)
    def find(chunks: list) -> dict:  # type: ignore[type-arg]
        return {"found": len(chunks)}

    return find


@dg.op
def entities(found: list) -> list:  # type: ignore[type-arg]
    return found


@dg.op
def assemble(relations: list) -> dict:  # type: ignore[type-arg]
    return {"relations": len(relations)}


@dg.graph
def workflow() -> None:
    chunks = chunk()
    classified = entities([_per_chunk(f"mentions_{i}")(chunks) for i in range(4)])
    assemble([_per_chunk(f"relations_{i}")(classified) for i in range(4)])


defs = dg.Definitions(
    jobs=[
        workflow.to_job("in_process", executor_def=dg.in_process_executor),
        workflow.to_job("multiprocess", executor_def=dg.multiprocess_executor),
    ]
)
