"""A workflow type of one's own: summarise an article, wait for a verdict or a deadline, publish a moment later."""

from typing import Any

import dagster as dg

from beep_orchestration.models import RetryPolicy
from beep_orchestration.workflow_types import ActivityType, WorkflowType
from beep_orchestration.workflows import Stage, stage_op, workflow_job


class Article(dg.Config):
    """The input, and the form in the launchpad."""

    title: str = "Ada"
    text: str = "Ada wrote the first program. Nobody could run it."
    days_to_answer: float = 7.0


class Verdict(dg.Config):
    """The payload of the signal `verdict`."""

    is_good: bool
    by: str


SUMMARY = ActivityType("summary", "summarise", str, retry=RetryPolicy(maximum_attempts=5, first_delay=0.5))
PUBLICATION = ActivityType("publication", "publish", str | None)
STAGES = (SUMMARY, PUBLICATION)
ARTICLE_REVIEW = WorkflowType(
    name="article_review",
    version=1,
    activity_types=STAGES,
    input_model=Article,
    about="title",
    signals={"verdict": Verdict},
)


@stage_op(SUMMARY, config=Article)
def summarise(stage: Stage) -> list[Any]:
    """One activity; a paid call would stand where the first sentence is taken."""
    return stage.run([stage.activity(lambda: stage.input.text.split(".")[0], input=stage.input, code_version="1")])


@stage_op(PUBLICATION)
def publish(stage: Stage, summaries: list[str]) -> list[Any]:
    """Waits for days, if it must, without a process; no answer in time counts as a no."""
    verdict = stage.await_signal("verdict", timeout=stage.input.days_to_answer * 86_400)
    line = None
    if verdict is not None and verdict.payload.is_good:
        stage.sleep(3)  # a last chance to cancel
        line = f"{summaries[0]}, says {verdict.payload.by}"
    published = stage.run([stage.activity(lambda: line, input=stage.input, code_version="1")])
    stage.complete({"published": published[0]})
    return published


@workflow_job(ARTICLE_REVIEW)
def article_review() -> None:
    """A summary, and what became of it."""
    publish(summarise())
