"""The tree of errors: as drawn, each with its ids as attributes and a remedy in its text."""

import inspect
import re
from dataclasses import dataclass

import pytest

from beep_orchestration import errors
from beep_orchestration.errors import BeepError


def _classes() -> dict[str, type[BeepError]]:
    found = inspect.getmembers(errors, lambda value: inspect.isclass(value) and issubclass(value, BeepError))
    return dict(found)


def _drawn_parents() -> dict[str, str]:
    """Class name -> parent's name, read from the drawing at the top of the module."""
    drawing = inspect.getdoc(errors)
    assert drawing is not None
    path: list[str] = []
    parents: dict[str, str] = {}
    for line in drawing.splitlines():
        match = re.match(r"^((?:[│ ]   )*(?:[├└]── )?)([A-Z]\w+Error)\b", line)
        if match is None:
            continue
        depth = len(match[1]) // 4
        parents[match[2]] = path[depth - 1] if depth else "Exception"
        path[depth:] = [match[2]]
    return parents


def test_the_drawing_is_the_tree() -> None:
    assert _drawn_parents() == {name: error.__base__.__name__ for name, error in _classes().items() if error.__base__}


def test_every_error_says_what_it_means() -> None:
    assert [name for name, error in _classes().items() if not error.__dict__.get("__doc__")] == []


@dataclass(frozen=True)
class Case:
    """An error, the attributes that it carries, and what its text must tell."""

    error: BeepError
    attributes: dict[str, object]
    tells: tuple[str, ...]

    @property
    def name(self) -> str:
        return type(self.error).__name__


CASES = [
    Case(
        errors.InvalidInputError("title", "is empty", "give a title"),
        {"field": "title", "problem": "is empty", "remedy": "give a title"},
        ("title", "is empty", "give a title"),
    ),
    Case(
        errors.WorkflowStartError("extraction", "no such model"),
        {"workflow_type": "extraction", "cause": "no such model"},
        ("extraction", "no such model"),
    ),
    Case(
        errors.IdempotencyConflictError("extraction", "key-1", "id-1", "0123456789abcdef"),
        {"idempotency_key": "key-1", "execution_id": "id-1", "input_digest": "0123456789abcdef"},
        ("key-1", "id-1", "choose another key"),
    ),
    Case(
        errors.ManyStartError("extraction", 7, errors.WorkflowStartError("extraction", "text: is empty; give some")),
        {"index": 7, "cause": "inputs[7]: text: is empty; give some; none of the executions was accepted"},
        ("extraction", "inputs[7]", "give some"),
    ),
    Case(
        errors.JobNotLoadedError("http://127.0.0.1:3000", "reading_list"),
        {"url": "http://127.0.0.1:3000", "workflow_type": "reading_list"},
        ("reading_list", "BEEP_WORKFLOW_MODULES", "beep up"),
    ),
    Case(errors.WorkflowNotFoundError("id-1"), {"execution_id": "id-1"}, ("id-1", "beep list")),
    Case(
        errors.WorkflowStateError("id-1", "failed", "resume it"),
        {"execution_id": "id-1", "status": "failed"},
        ("id-1", "id-1 has failed: ", "resume it"),
    ),
    Case(
        errors.DagsterUnavailableError("http://127.0.0.1:3000", "refused"),
        {"url": "http://127.0.0.1:3000", "cause": "refused"},
        ("http://127.0.0.1:3000", "refused", "beep up", "BEEP_PORT"),
    ),
    Case(
        errors.DatabaseUnavailableError("postgresql://h/d", "refused"),
        {"url": "postgresql://h/d", "cause": "refused"},
        ("postgresql://h/d", "refused", "BEEP_DATABASE_URL"),
    ),
    Case(
        errors.SchemaVersionError(None, "0002", "run 'beep migrate'"),
        {"found": None, "expected": "0002"},
        ("no revision", "0002", "beep migrate"),
    ),
    Case(
        errors.ClaimLostError("id-1", "run-1", "another run has claimed it"),
        {"execution_id": "id-1", "dagster_run_id": "run-1"},
        ("id-1", "run-1", "another run"),
    ),
    Case(errors.ExecutionCancelledError("id-1"), {"execution_id": "id-1"}, ("id-1", "beep resume id-1")),
    Case(errors.ExecutionPausedError("id-1"), {"execution_id": "id-1"}, ("id-1", "beep resume id-1")),
    Case(
        errors.WorkflowVersionError("id-1", "extraction", 1, 2),
        {"execution_id": "id-1", "workflow_type": "extraction", "found": 1, "present": 2},
        ("id-1", "extraction", "version 1", "version 2", "resumes_versions"),
    ),
    Case(
        errors.ActivityFailedError("mentions-0", 3, "TimeoutError", "no answer"),
        {"activity_name": "mentions-0", "attempt": 3, "error_type": "TimeoutError"},
        ("mentions-0", "3", "TimeoutError", "no answer"),
    ),
    Case(
        errors.ChildFailedError("summary", "id-1", "ValueError", "no summary"),
        {"name": "summary", "execution_id": "id-1", "error_type": "ValueError", "message": "no summary"},
        ("summary", "id-1", "ValueError", "no summary"),
    ),
    Case(
        errors.BudgetUsedUpError("token_budget", "5,000 tokens", "5,210"),
        {"option": "token_budget", "budget": "5,000 tokens", "spent": "5,210"},
        ("options.token_budget", "5,000 tokens", "5,210", "resume"),
    ),
    Case(errors.LanguageModelError("no answer", may_be_paid=True), {"may_be_paid": True}, ("no answer",)),
    Case(
        errors.InvalidAnswerError("it is no JSON"),
        {"problem": "it is no JSON", "may_be_paid": True},
        ("cannot be used", "it is no JSON"),
    ),
    Case(errors.RetryLaterError("busy", 2.5), {"seconds": 2.5}, ("busy", "2.5 s")),
    Case(
        errors.IncompleteStageError("id-1", "mentions", 3, 5),
        {"execution_id": "id-1", "activity_type": "mentions", "found": 3, "expected": 5},
        ("id-1", "3 of 5", "mentions", "beep resume id-1"),
    ),
]
SAY_WHAT_THEY_ARE_GIVEN = {"BeepError", "PermanentActivityError", "ConfigurationError"}


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_an_error_carries_its_ids_and_tells_the_remedy(case: Case) -> None:
    assert {name: getattr(case.error, name) for name in case.attributes} == case.attributes
    assert [part for part in case.tells if part not in str(case.error)] == []


def test_every_error_with_a_text_of_its_own_is_tried_above() -> None:
    tried = {case.name for case in CASES}
    own_text = {name for name, error in _classes().items() if "__init__" in error.__dict__}
    assert own_text == tried
    inherited = {name for name, error in _classes().items() if issubclass(error, errors.InvalidInputError)}
    assert set(_classes()) == tried | SAY_WHAT_THEY_ARE_GIVEN | inherited
