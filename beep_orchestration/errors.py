"""Every error that a caller can meet.

BeepError
├── InvalidInputError            a value from outside is refused; names the field and the remedy
│   ├── InvalidIdError
│   ├── InvalidDocumentError
│   ├── InvalidOntologyError
│   └── UnknownWorkflowTypeError
├── WorkflowStartError           an execution was not accepted
│   ├── IdempotencyConflictError
│   └── ManyStartError           one of many that were to be accepted together is refused, and so all are
├── WorkflowNotFoundError        no such execution in this organization
├── WorkflowStateError           the execution's state does not allow the call
├── DagsterUnavailableError      Dagster did not answer; what is stored will be launched later
├── JobNotLoadedError            Dagster has no job for the workflow type; what is stored waits until it has
├── DatabaseUnavailableError     PostgreSQL did not answer
├── SchemaVersionError           the schema is missing, older or newer than the code
├── ClaimLostError               this run may no longer commit for the execution
├── ExecutionCancelledError      the execution was cancelled while the run worked for it
├── ExecutionPausedError         the execution is paused: no activity starts
├── WorkflowVersionError         the execution belongs to another version of its workflow type
├── ActivityFailedError          an activity used up its attempts
├── ChildFailedError             a child execution has failed or was cancelled
├── PermanentActivityError       raised by an activity: no retry can mend this
│   └── BudgetUsedUpError        an execution's budget for language models is spent
├── LanguageModelError           a language model gave no answer; it is asked again within the retry policy
│   └── InvalidAnswerError       its answer is not what was asked for
├── RetryLaterError              raised by an activity: try again, but not before a given time
├── IncompleteStageError         fewer parts are stored than the stage before recorded
└── ConfigurationError           a setting or a file of the installation is wrong

Each message says what happened and what to do; ids and fields are attributes as well.
"""


class BeepError(Exception):
    """The root: everything that this package raises on purpose."""


class InvalidInputError(BeepError):
    """A value from outside is refused; nothing was stored."""

    def __init__(self, field: str, problem: str, remedy: str) -> None:
        self.field = field
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{field}: {problem}; {remedy}")


class InvalidIdError(InvalidInputError):
    """The text is not an id of the entity that is asked for."""


class InvalidDocumentError(InvalidInputError):
    """The document cannot be extracted from, or not be stored."""


class InvalidOntologyError(InvalidInputError):
    """The ontology is not Turtle, or has no class to type entities with."""


class UnknownWorkflowTypeError(InvalidInputError):
    """No workflow type of that name is registered."""


class WorkflowStartError(BeepError):
    """An execution was not accepted; nothing was stored and nothing will run."""

    def __init__(self, workflow_type: str, cause: str) -> None:
        self.workflow_type = workflow_type
        self.cause = cause
        super().__init__(f"cannot start workflow {workflow_type!r}: {cause}")


class IdempotencyConflictError(WorkflowStartError):
    """The idempotency key belongs to an execution with another input."""

    def __init__(self, workflow_type: str, idempotency_key: str, execution_id: str, input_digest: str) -> None:
        self.idempotency_key = idempotency_key
        self.execution_id = execution_id
        self.input_digest = input_digest
        super().__init__(
            workflow_type,
            f"idempotency key {idempotency_key!r} belongs to {execution_id}, whose input has digest "
            f"{input_digest[:12]}; send that input again, or choose another key",
        )


class ManyStartError(WorkflowStartError):
    """One of many executions that were to be accepted together was refused: none of them was stored.

    `index` is its place in the list, from 0; the reason is the error's `__cause__`.
    """

    def __init__(self, workflow_type: str, index: int, refusal: WorkflowStartError) -> None:
        self.index = index
        super().__init__(workflow_type, f"inputs[{index}]: {refusal.cause}; none of the executions was accepted")


class WorkflowNotFoundError(BeepError):
    """No execution has this id in this organization."""

    def __init__(self, execution_id: str) -> None:
        self.execution_id = execution_id
        super().__init__(f"no execution {execution_id} in this organization; list the known ones with 'beep list'")


_HOW_IT_ENDED = {"failed": "has failed", "cancelled": "was cancelled"}


class WorkflowStateError(BeepError):
    """The execution's state does not allow what was asked; nothing was changed."""

    def __init__(self, execution_id: str, status: str, problem: str) -> None:
        self.execution_id = execution_id
        self.status = status
        super().__init__(f"execution {execution_id} {_HOW_IT_ENDED.get(status, f'is {status}')}: {problem}")


class DagsterUnavailableError(BeepError):
    """Dagster's webserver could not be asked."""

    def __init__(self, url: str, cause: str) -> None:
        self.url = url
        self.cause = cause
        super().__init__(
            f"Dagster at {url} does not answer ({cause}); start it with 'beep up', or set BEEP_HOST and BEEP_PORT"
        )


class JobNotLoadedError(BeepError):
    """Dagster answers, but the code that it has loaded does not have the workflow type, or does not load."""

    def __init__(self, url: str, workflow_type: str) -> None:
        self.url = url
        self.workflow_type = workflow_type
        super().__init__(
            f"the code that Dagster at {url} has loaded does not have the workflow type {workflow_type!r}; name its "
            "module in BEEP_WORKFLOW_MODULES where 'beep up' runs, and start that again"
        )


class DatabaseUnavailableError(BeepError):
    """PostgreSQL could not be asked."""

    def __init__(self, url: str, cause: str) -> None:
        self.url = url
        self.cause = cause
        super().__init__(f"PostgreSQL at {url} does not answer ({cause}); start it, or set BEEP_DATABASE_URL")


class SchemaVersionError(BeepError):
    """The database's schema is not the one that this code was written for."""

    def __init__(self, found: str | None, expected: str, remedy: str) -> None:
        self.found = found
        self.expected = expected
        super().__init__(f"the schema is at {found or 'no revision'} and the code needs {expected}; {remedy}")


class ClaimLostError(BeepError):
    """Another run carries the execution, or carried it later; this one changed nothing and must stop."""

    def __init__(self, execution_id: str, dagster_run_id: str, reason: str) -> None:
        self.execution_id = execution_id
        self.dagster_run_id = dagster_run_id
        super().__init__(f"run {dagster_run_id} may not commit for execution {execution_id}: {reason}")


class ExecutionCancelledError(BeepError):
    """The execution is cancelled; completed activities are kept and nothing more is committed."""

    def __init__(self, execution_id: str) -> None:
        self.execution_id = execution_id
        super().__init__(f"execution {execution_id} was cancelled; go on with 'beep resume {execution_id}'")


class ExecutionPausedError(BeepError):
    """The execution, its organization or the instance is paused; activities under way end, none starts."""

    def __init__(self, execution_id: str) -> None:
        self.execution_id = execution_id
        super().__init__(f"execution {execution_id} is paused; let it go on with 'beep resume {execution_id}'")


class WorkflowVersionError(BeepError):
    """The code here has another version of the workflow type than the execution was started with; nothing ran."""

    def __init__(self, execution_id: str, workflow_type: str, found: int, present: int) -> None:
        self.execution_id = execution_id
        self.workflow_type = workflow_type
        self.found = found
        self.present = present
        super().__init__(
            f"execution {execution_id} was started by version {found} of workflow {workflow_type!r} and the code here "
            f"is version {present}, which does not list {found} in `resumes_versions`; resume it with the code of "
            f"version {found}, or start it anew"
        )


class ActivityFailedError(BeepError):
    """An activity used up its attempts, or failed in a way that no retry mends."""

    def __init__(self, activity_name: str, attempt: int, error_type: str, message: str) -> None:
        self.activity_name = activity_name
        self.attempt = attempt
        self.error_type = error_type
        super().__init__(f"activity {activity_name} failed at attempt {attempt} with {error_type}: {message}")


class ChildFailedError(BeepError):
    """A child of the execution has failed, or was cancelled; resuming the parent resumes it too."""

    def __init__(self, name: str, execution_id: str, error_type: str, message: str) -> None:
        self.name = name
        self.execution_id = execution_id
        self.error_type = error_type
        self.message = message
        super().__init__(f"child {name!r} ended without a result, with {error_type}: {message} ({execution_id})")


class PermanentActivityError(BeepError):
    """For activities to raise: the attempt fails and no other follows."""


class BudgetUsedUpError(PermanentActivityError):
    """The next call to a language model would go beyond the execution's budget; it was not made."""

    def __init__(self, option: str, budget: str, spent: str) -> None:
        self.option = option
        self.budget = budget
        self.spent = spent
        super().__init__(
            f"options.{option}: the budget of {budget} is used up ({spent} spent); "
            "to grant it as much again resume the execution, or send the signal 'grant_budget' if it waits for that"
        )


class LanguageModelError(BeepError):
    """A language model gave no answer.

    `may_be_paid` tells whether the question had been sent, so that its provider may charge for it all the same.
    """

    def __init__(self, message: str, *, may_be_paid: bool) -> None:
        self.may_be_paid = may_be_paid
        super().__init__(message)


class InvalidAnswerError(LanguageModelError):
    """A language model's answer is not what was asked for; it is paid, and not used."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"the language model's answer cannot be used: {problem}", may_be_paid=True)


class RetryLaterError(BeepError):
    """For activities to raise: the next attempt begins no sooner than after `seconds` (a server's `Retry-After`)."""

    def __init__(self, message: str, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"{message}; try again after {seconds:g} s")


class IncompleteStageError(BeepError):
    """A stage's stored parts are fewer than it recorded; nothing is assembled from a part of the work."""

    def __init__(self, execution_id: str, activity_type: str, found: int, expected: int) -> None:
        self.execution_id = execution_id
        self.activity_type = activity_type
        self.found = found
        self.expected = expected
        super().__init__(
            f"execution {execution_id} has {found} of {expected} completed activities of type {activity_type!r}; "
            f"run all steps again ('Re-execute all' in the UI, or 'beep resume {execution_id}'): "
            "completed activities are not repeated"
        )


class ConfigurationError(BeepError):
    """A setting or a file of the installation is wrong."""
