"""Pure mappings from what happened to what is stored: an exception to an error row, a Dagster status to an outcome."""

import re
import traceback
from typing import assert_never

from dagster import DagsterRunStatus

from beep_orchestration.models import ErrorInfo, Json, RunOutcome, StageProgress

_MAXIMUM_MESSAGE = 2_000
_MAXIMUM_STACK = 8_000
_SECRETS = (
    (re.compile(r"(?<=://)[^/\s:@]*:[^/\s]+(?=@)"), "***"),
    (
        # Begins where a run of name characters begins, and only there: the time stays linear in the message's length.
        re.compile(
            r"""(?ix)(?<![a-z0-9_-])
            (?=[a-z0-9_-]*?(?:api[_-]?key|[_-]key|token|password|passwd|secret|authorization|cookie))
            ([a-z0-9_-]++\\*["']?\s*[=:]\s*)
            (?: "(?:[^"\\]|\\.)*"? | '(?:[^'\\]|\\.)*'? | \\+"[^"]*"? | (?:bearer\s+|basic\s+)?[^\s"'&]+ )"""
        ),
        r"\1***",
    ),
    (re.compile(r"(?i)\bbearer\s+[a-z0-9._~+/=-]{8,}"), "Bearer ***"),
    (re.compile(r"(?<=[?&]key=)[^\s&]+"), "***"),
    (re.compile(r"\b(?:sk|pk|ghp|gsk|hf|github_pat|xox[abp])[-_][A-Za-z0-9_-]{10,}"), "***"),
    (re.compile(r"\b(?:AKIA|AIza)[A-Za-z0-9_-]{12,}"), "***"),
)
_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")


def storable_text(text: str) -> str:
    """The text without secrets and without what jsonb cannot hold (NUL, lone surrogates)."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return _NOT_STORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def error_info(error: BaseException, *, activity_name: str | None = None, attempt: int | None = None) -> ErrorInfo:
    """An exception as it is stored: type, message and stack, shortened, without secrets; never raises."""
    try:
        message = str(error)
    except Exception as broken:  # noqa: BLE001 - an exception that cannot say itself must still be stored
        message = f"(its message cannot be read: {type(broken).__name__})"
    stack = "".join(traceback.format_exception(error))
    return ErrorInfo(
        type=type(error).__name__,
        message=storable_text(message)[:_MAXIMUM_MESSAGE],
        activity_name=activity_name,
        attempt=attempt,
        stack=storable_text(stack)[-_MAXIMUM_STACK:],
    )


def progress_payload(activity_type: str, activity_name: str | None, progress: StageProgress) -> Json:
    """What a `progress` signal says when an activity is completed, or, without one, when its type begins."""
    return {
        "activity": activity_name,
        "activity_type": activity_type,
        "done": progress.done,
        "total": progress.total,
    }


def run_outcome(status: DagsterRunStatus) -> RunOutcome | None:
    """How a Dagster run ended, None while it may still go on; the one place that reads Dagster's statuses."""
    match status:
        case DagsterRunStatus.SUCCESS:
            return RunOutcome.SUCCEEDED
        case DagsterRunStatus.FAILURE:
            return RunOutcome.FAILED
        case DagsterRunStatus.CANCELED:
            return RunOutcome.CANCELLED
        case (
            DagsterRunStatus.QUEUED
            | DagsterRunStatus.NOT_STARTED
            | DagsterRunStatus.MANAGED
            | DagsterRunStatus.STARTING
            | DagsterRunStatus.STARTED
            | DagsterRunStatus.SUSPENDED
            | DagsterRunStatus.CANCELING
        ):
            return None
        case _:
            assert_never(status)
