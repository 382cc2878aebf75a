"""DBOS: a script that answers questions on its standard input; the URL of its database is its argument."""

import json
import sys
import time

from dbos import DBOS, DBOSConfig


@DBOS.step()
def activity(name: str) -> dict[str, str]:
    return {"found": name}


@DBOS.workflow()
def extraction() -> str:
    activity("chunk")
    for stage in ("mentions", "relations"):
        for number in range(4):
            activity(f"{stage}-{number}")
    activity("entities")
    return activity("assemble")["found"]


@DBOS.workflow()
def steps(count: int) -> int:
    for number in range(count):
        activity(str(number))
    return count


def run_one() -> float:
    began = time.perf_counter()
    DBOS.start_workflow(extraction).get_result()
    return time.perf_counter() - began


def run_many(count: int) -> float:
    began = time.perf_counter()
    for handle in [DBOS.start_workflow(extraction) for _ in range(count)]:
        handle.get_result()
    return time.perf_counter() - began


def run_steps(count: int) -> float:
    began = time.perf_counter()
    DBOS.start_workflow(steps, count).get_result()
    return time.perf_counter() - began


QUESTIONS = {"one": run_one, "many": run_many, "steps": run_steps}


def main() -> None:
    config: DBOSConfig = {"name": "bench", "system_database_url": sys.argv[1], "run_admin_server": False}
    DBOS(config=config)
    DBOS.launch()
    for line in sys.stdin:
        question = json.loads(line)
        seconds = QUESTIONS[question.pop("do")](**question)
        print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
