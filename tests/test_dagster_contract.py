"""Everything that we use of Dagster is there and takes what we pass: the specification's rule, as a test.

The specification says of its engine: "All API patterns must be verified against library source", names the methods and
forbids to build on one that is not verified. Here the names are read from our source, so that a new use is verified
without being listed, and an upgrade of Dagster that takes one away fails here and not in a run. What lies beside
Dagster's public API is listed in `beep_orchestration/engine/dagster_internals.py` alone, and verified by
`tests/engine/test_dagster_internals.py`.
"""

import ast
import inspect
import shutil
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from enum import EnumType
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import dagster as dg
import dagster_graphql
import dagster_postgres
import pytest
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.tags import PARENT_RUN_ID_TAG, RETRY_STRATEGY_TAG, ROOT_RUN_ID_TAG
from dagster_graphql.schema import create_schema
from gql import GraphQLRequest
from gql.transport import Transport
from graphql import DocumentNode, ExecutionResult, GraphQLSchema, GraphQLUnionType, get_named_type, parse, validate
from graphql.execution.values import get_variable_values
from graphql.language import OperationDefinitionNode

from beep_orchestration import dagster_client
from beep_orchestration.dagster_client import DagsterClient, launch_tags
from beep_orchestration.definitions import defs
from beep_orchestration.engine.dagster_internals import InstanceRef
from beep_orchestration.engine.storage import WorkflowStorage
from beep_orchestration.errors import DagsterUnavailableError, JobNotLoadedError
from beep_orchestration.projections import run_outcome
from beep_orchestration.settings import Settings
from beep_orchestration.supervisor import program
from beep_orchestration.supervisor.child import make_children
from beep_orchestration.workflow_types import EXTRACTION

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "beep_orchestration"
INTERNALS = PACKAGE / "engine" / "dagster_internals.py"
PUBLIC_MODULES = {"dagster": dg, "dagster_graphql": dagster_graphql, "dagster_postgres": dagster_postgres}
TREES = {path: ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}

READ_BEYOND_PARAMETERS: list[tuple[type, str]] = [
    (dg.InitResourceContext, "run"),
    (dg.InitResourceContext, "instance"),
    (dg.InitResourceContext, "resources"),
    (dg.DagsterInstance, "add_run_tags"),
    (dg.DagsterInstance, "get_runs"),
    (dg.DagsterRun, "run_id"),
    (dg.DagsterRun, "tags"),
    (dg.DagsterRun, "status"),
]
"""What is read of a value that has no annotated parameter of its own."""

STORAGES = [
    dagster_postgres.PostgresRunStorage,
    dagster_postgres.PostgresEventLogStorage,
    dagster_postgres.PostgresScheduleStorage,
]

OVERRIDDEN: list[tuple[type, str]] = [
    (dg.IOManager, "handle_output"),
    (dg.IOManager, "load_input"),
    (dg.ConfigurableResource, "yield_for_execution"),
    (dagster_postgres.PostgresRunStorage, "has_run_stats_index_cols"),
    (dagster_postgres.PostgresRunStorage, "dispose"),
    (dagster_postgres.PostgresEventLogStorage, "dispose"),
    (dagster_postgres.DagsterPostgresStorage, "from_config_value"),
    (dagster_postgres.DagsterPostgresStorage, "config_type"),
]
"""Methods that do nothing if Dagster gives them another name."""


# The names in our source


def _name(node: ast.AST) -> str:
    """`dg.MetadataValue.table` for the expression, an empty string for what is no plain name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (base := _name(node.value)):
        return f"{base}.{node.attr}"
    return ""


def _imports() -> Iterator[tuple[Path, str, str]]:
    """Each import of a Dagster package: file, module, name (empty for `import module`)."""
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name, "") for alias in node.names if alias.name.startswith("dagster"))
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dagster"):
                yield from ((path, node.module or "", alias.name) for alias in node.names)


def _public_names(tree: ast.Module) -> dict[str, str]:
    """What this module calls a Dagster name: `{"dg": "dagster", "DagsterRun": "dagster.DagsterRun"}`."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name: alias.name for alias in node.names if alias.name in PUBLIC_MODULES}
        elif isinstance(node, ast.ImportFrom) and node.module in PUBLIC_MODULES:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _dagster_name(node: ast.AST, names: dict[str, str]) -> str:
    """The full name of an expression that begins with a Dagster name, an empty string for any other."""
    first, dot, rest = _name(node).partition(".")
    return names[first] + dot + rest if first in names else ""


def _resolve(name: str) -> Any:
    module, *attributes = name.split(".")
    value: Any = PUBLIC_MODULES[module]
    for attribute in attributes:
        value = getattr(value, attribute)
    return value


@cache
def _users() -> list[tuple[ast.Module, dict[str, str]]]:
    """The modules that use Dagster's public names, and what they call them."""
    return [(tree, names) for tree in TREES.values() if (names := _public_names(tree))]


@cache
def _uses() -> set[str]:
    """The full names of all Dagster expressions: `dagster.DagsterRunStatus.FAILURE`."""
    found: set[str] = set()
    for tree, names in _users():
        found |= {name for node in ast.walk(tree) if (name := _dagster_name(node, names)).count(".")}
    return found


@cache
def _calls() -> set[tuple[str, tuple[str, ...]]]:
    """The keywords with which we call Dagster names, for calls with any."""
    found: set[tuple[str, tuple[str, ...]]] = set()
    for tree, names in _users():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and (name := _dagster_name(node.func, names)):
                keywords = tuple(sorted(keyword.arg for keyword in node.keywords if keyword.arg))
                found |= {(name, keywords)} if keywords else set()
    return found


@cache
def _reads() -> set[tuple[str, str]]:
    """The attributes that our functions read of parameters annotated with a Dagster type."""
    found: set[tuple[str, str]] = set()
    for tree, names in _users():
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                found |= _reads_of(function, names)
    return found


def _reads_of(function: ast.FunctionDef | ast.AsyncFunctionDef, names: dict[str, str]) -> set[tuple[str, str]]:
    types = {
        argument.arg: name
        for argument in (*function.args.args, *function.args.kwonlyargs)
        if argument.annotation is not None and (name := _type_name(argument.annotation, names))
    }
    return {
        (types[node.value.id], node.attr)
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in types
    }


def _type_name(annotation: ast.expr, names: dict[str, str]) -> str:
    """`X` for the annotations `X` and `X | None`."""
    return _dagster_name(annotation.left if isinstance(annotation, ast.BinOp) else annotation, names)


def test_the_source_is_read() -> None:
    """A reader that finds nothing would pass every test below."""
    assert {"dagster.job", "dagster.MetadataValue.table", "dagster_postgres.DagsterPostgresStorage"} <= _uses()
    assert any(name == "dagster.sensor" and "minimum_interval_seconds" in keywords for name, keywords in _calls())
    assert ("dagster.SensorEvaluationContext", "update_cursor") in _reads()
    assert ("dagster.OutputContext", "add_output_metadata") in _reads()


def test_nothing_private_of_dagster_is_imported_but_in_the_one_list() -> None:
    private = [
        f"{path.relative_to(ROOT)}: {module}.{name}"
        for path, module, name in _imports()
        if path != INTERNALS and (module not in PUBLIC_MODULES or name.startswith("_"))
    ]
    assert private == []


@pytest.mark.parametrize("name", sorted(_uses()))
def test_every_public_name_that_we_use_is_there(name: str) -> None:
    _resolve(name)
    assert not any(part.startswith("_") for part in name.split("."))


@pytest.mark.parametrize(("name", "keywords"), sorted(_calls()))
def test_every_call_passes_keywords_that_are_taken(name: str, keywords: tuple[str, ...]) -> None:
    parameters = inspect.signature(_resolve(name)).parameters
    if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters.values()):
        assert set(keywords) <= set(parameters)


@pytest.mark.parametrize(("name", "attribute"), sorted(_reads()))
def test_every_attribute_that_is_read_of_a_parameter_is_there(name: str, attribute: str) -> None:
    owner = _resolve(name)
    values = list(owner) if isinstance(owner, EnumType) else [owner]  # a member has what its class does not show
    assert all(hasattr(value, attribute) for value in values)


@pytest.mark.parametrize(("base", "method"), OVERRIDDEN)
def test_every_method_that_we_override_is_one_that_dagster_calls(base: type, method: str) -> None:
    assert callable(getattr(base, method))


@pytest.mark.parametrize("storage", STORAGES)
def test_the_storages_keep_their_engine_where_ours_put_another(storage: type) -> None:
    assert "self._engine = " in inspect.getsource(storage)


@pytest.mark.parametrize("name", ["_run_storage", "_event_log_storage", "_schedule_storage", "postgres_url"])
def test_the_storage_keeps_its_parts_where_ours_puts_others(name: str) -> None:
    assert f"self.{name} = " in inspect.getsource(dagster_postgres.DagsterPostgresStorage)
    assert f"self.{name}" in inspect.getsource(WorkflowStorage)


@pytest.mark.parametrize(("owner", "attribute"), READ_BEYOND_PARAMETERS)
def test_every_attribute_that_is_read_elsewhere_is_there(owner: type, attribute: str) -> None:
    assert hasattr(owner, attribute)


# What we ask over GraphQL


class SchemaTransport(Transport):
    """Checks what the client sends against the webserver's schema, and gives the answer that the test wants."""

    def __init__(self, schema: GraphQLSchema, answer: dict[str, Any]) -> None:
        self.schema = schema
        self.sent: list[dict[str, Any]] = []
        self._answer = answer

    def execute(self, request: GraphQLRequest, *_args: Any, **_options: Any) -> ExecutionResult:
        variables = request.variable_values or {}
        _check_document(self.schema, request.document, variables)
        self.sent.append(variables)
        return ExecutionResult(data=self._answer)


def _check_document(schema: GraphQLSchema, document: DocumentNode, variables: dict[str, Any] | None) -> None:
    assert validate(schema, document) == []
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    if variables is not None:
        coerced = get_variable_values(schema, operation.variable_definitions or (), variables)
        assert isinstance(coerced, dict), coerced


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    loaded: GraphQLSchema = create_schema().graphql_schema
    return loaded


def _client(transport: Transport) -> DagsterClient:
    client = DagsterClient("127.0.0.1", 3000, code_location="beep_orchestration", timeout_seconds=1)
    client._local.client = dagster_graphql.DagsterGraphQLClient("127.0.0.1", 3000, transport=transport)
    return client


def _answers(schema: GraphQLSchema, mutation: str) -> Sequence[str]:
    """The types among which the answer to a mutation is."""
    assert schema.mutation_type is not None
    answer = get_named_type(schema.mutation_type.fields[mutation].type)
    assert isinstance(answer, GraphQLUnionType)
    return [member.name for member in answer.types]


def test_a_launch_is_what_the_schema_takes_and_yields_the_run_id(schema: GraphQLSchema) -> None:
    answer = {"__typename": "LaunchRunSuccess", "run": {"runId": "the-run"}}
    transport = SchemaTransport(schema, {"launchPipelineExecution": answer})
    tags = launch_tags("execution", "organization", "extraction", 1, ("newest", "first"))
    assert _client(transport).launch("extraction", tags) == "the-run"
    parameters = transport.sent[0]["executionParams"]
    assert parameters["selector"]["pipelineName"] == "extraction"
    assert {tag["key"]: tag["value"] for tag in parameters["executionMetadata"]["tags"]} == tags


def test_every_refusal_of_a_launch_is_raised(schema: GraphQLSchema) -> None:
    answers = _answers(schema, "launchPipelineExecution")
    steps = {"invalidStepKey": "step", "stepKey": "step", "invalidOutputName": "out"}
    assert {"LaunchRunSuccess", "PipelineNotFoundError"} <= set(answers)
    for refusal in set(answers) - {"LaunchRunSuccess"}:
        answer = {"__typename": refusal, "message": "no", "errors": [], **steps}
        transport = SchemaTransport(schema, {"launchPipelineExecution": answer})
        is_unknown = refusal == "PipelineNotFoundError"
        with pytest.raises(JobNotLoadedError if is_unknown else DagsterUnavailableError):
            _client(transport).launch("extraction", {})
        assert transport.sent


def test_a_termination_is_what_the_schema_takes(schema: GraphQLSchema) -> None:
    transport = SchemaTransport(schema, {"terminateRun": {"__typename": "TerminateRunSuccess", "run": {"runId": "r"}}})
    _client(transport).terminate("the-run")
    assert transport.sent == [{"runId": "the-run"}]


def test_every_refusal_of_a_termination_is_raised(schema: GraphQLSchema) -> None:
    answers = _answers(schema, "terminateRun")
    assert "TerminateRunSuccess" in answers
    for refusal in set(answers) - {"TerminateRunSuccess", "TerminateRunFailure"}:
        transport = SchemaTransport(schema, {"terminateRun": {"__typename": refusal, "message": "no", "runId": "r"}})
        with pytest.raises(DagsterUnavailableError):
            _client(transport).terminate("the-run")
        assert transport.sent


def test_a_run_that_has_ended_need_not_be_terminated(schema: GraphQLSchema) -> None:
    answer = {"__typename": "TerminateRunFailure", "message": "it has ended"}
    transport = SchemaTransport(schema, {"terminateRun": answer})
    _client(transport).terminate("the-run")
    assert transport.sent == [{"runId": "the-run"}]


def test_a_deletion_is_what_the_schema_takes_and_every_refusal_is_raised(schema: GraphQLSchema) -> None:
    answers = _answers(schema, "deleteRun")
    well = {"DeletePipelineRunSuccess", "RunNotFoundError"}
    assert well < set(answers)
    for answer in answers:
        given = {"__typename": answer, "message": "no", "runId": "r"}
        transport = SchemaTransport(schema, {"deleteRun": given})
        with nullcontext() if answer in well else pytest.raises(DagsterUnavailableError, match=answer):
            _client(transport).delete_run("the-run")
        assert transport.sent == [{"runId": "the-run"}]


def _own_documents() -> list[tuple[str, str]]:
    """The GraphQL documents in our source, by where they stand."""
    return [
        (f"{path.relative_to(PACKAGE)}:{node.lineno}", node.value)
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.lstrip().startswith(("query ", "mutation ", "query{", "{ "))
    ]


def test_our_own_documents_are_what_the_schema_takes(schema: GraphQLSchema) -> None:
    for place, document in _own_documents():
        assert validate(schema, parse(document)) == [], place


# Constants that we repeat, because importing Dagster takes seconds or because they are no public names


def test_the_tags_that_group_runs_are_those_of_dagster() -> None:
    assert dagster_client.DAGSTER_PARENT_TAG == PARENT_RUN_ID_TAG
    assert dagster_client.DAGSTER_ROOT_TAG == ROOT_RUN_ID_TAG
    assert launch_tags("e", "o", "t", 1, None)[RETRY_STRATEGY_TAG] == "ALL_STEPS"


def test_a_location_of_definitions_has_the_repository_that_launches_name() -> None:
    assert dagster_client.REPOSITORY_NAME == SINGLETON_REPOSITORY_NAME == defs.get_repository_def().name


def test_the_workflow_type_has_its_job_and_every_activity_type_its_op() -> None:
    job = defs.get_job_def(EXTRACTION.job_name)
    assert {stage.op_name for stage in EXTRACTION.activity_types} == {node.name for node in job.graph.nodes}


@pytest.mark.parametrize("status", dg.DagsterRunStatus)
def test_a_run_has_an_outcome_exactly_if_dagster_calls_it_finished(status: dg.DagsterRunStatus) -> None:
    assert (run_outcome(status) is not None) == (status in FINISHED_STATUSES)


# The installation


def test_all_packages_of_dagster_are_of_one_release() -> None:
    """The library packages count differently (0.29.x for 1.13.x), but each says which core it was made for."""
    core = metadata.version("dagster")
    for name in ("dagster-graphql", "dagster-webserver", "dagster-shared", "dagster-pipes"):
        assert metadata.version(name) == core
    assert f"dagster=={core}" in {need.replace(" ", "") for need in metadata.requires("dagster-postgres") or []}


def test_the_installed_release_is_the_pinned_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = dict(need.split("==") for need in project["dependencies"] if need.startswith("dagster"))
    assert set(pins) == {"dagster", "dagster-postgres", "dagster-graphql", "dagster-webserver"}
    assert {name: metadata.version(name) for name in pins} == pins


def test_the_instance_file_is_what_dagster_takes(tmp_path: Path) -> None:
    """Dagster checks the file's keys and values as it reads them; the classes are looked up, as it does later."""
    shutil.copy(ROOT / "dagster.yaml", tmp_path)
    instance = InstanceRef.from_dir(str(tmp_path))
    storage = instance.storage_data
    assert storage is not None
    assert (storage.module_name, storage.class_name) == (WorkflowStorage.__module__, WorkflowStorage.__name__)
    assert isinstance(instance.run_coordinator, QueuedRunCoordinator)
    assert instance.run_launcher is not None
    assert "free_slots_after_run_end_seconds" in str(instance.settings["run_monitoring"])


@pytest.mark.parametrize("reload", [False, True])
def test_every_dagster_command_that_is_started_has_the_options_that_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, reload: bool
) -> None:
    settings = Settings(data_folder=tmp_path)
    children, _ = make_children(settings, tmp_path, "mark", "beep_orchestration.definitions", reload=reload)
    assert [child.name for child in children] == ["code server", "webserver", "daemon", "API server"]
    for child in children[:-1]:  # the last one is ours
        name, *words = child._command[child._command.index(program.__file__) + 1 :]
        options = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert options
        (script,) = metadata.entry_points(group="console_scripts", name=name)
        subcommands = (word for word in words if not word.startswith("--"))
        monkeypatch.setattr(sys, "argv", [name, *subcommands, "--help"])
        with pytest.raises(SystemExit) as ended:
            script.load()()
        assert ended.value.code == 0
        told = set(capsys.readouterr().out.replace(",", " ").split())
        assert options <= told, child.name
