"""Prefect 3: a script that answers questions; runs its flow called directly, and through a served deployment."""

import json
import sys
import time

from prefect import flow, task
from prefect.deployments import run_deployment


@task
def activity(name: str) -> dict[str, str]:
    return {"found": name}


@flow
def extraction() -> str:
    activity("chunk")
    for stage in ("mentions", "relations"):
        for number in range(4):
            activity(f"{stage}-{number}")
    activity("entities")
    return activity("assemble")["found"]


@flow
def steps(count: int) -> int:
    for number in range(count):
        activity(str(number))
    return count


def run_one() -> float:
    began = time.perf_counter()
    extraction()
    return time.perf_counter() - began


def run_deployed() -> float:
    began = time.time()
    run = run_deployment("extraction/bench", timeout=300, poll_interval=0.1)
    if run.end_time is None or not run.state.is_completed():
        raise RuntimeError(run.state)
    return run.end_time.timestamp() - began


def run_steps(count: int) -> float:
    began = time.perf_counter()
    steps(count)
    return time.perf_counter() - began


QUESTIONS = {"one": run_one, "deployed": run_deployed, "steps": run_steps}


def main() -> None:
    if sys.argv[1:] == ["serve"]:
        extraction.serve("bench")
        return
    for line in sys.stdin:
        question = json.loads(line)
        seconds = QUESTIONS[question.pop("do")](**question)
        print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
