"""The demonstration: real documents become graphs, on the real services."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, RenderableType
from rich.rule import Rule

from beep_orchestration.digests import canonical_digest
from beep_orchestration.errors import ConfigurationError
from beep_orchestration.extraction import decode_document
from beep_orchestration.extraction.exports import GraphFormat, export
from beep_orchestration.extraction.exports.terminal import to_terminal
from beep_orchestration.extraction.local.language_model import identity
from beep_orchestration.extraction.model import Graph
from beep_orchestration.models import ExecutionStatus, Json, Model, WorkflowStatus
from beep_orchestration.progress import follow
from beep_orchestration.service import WorkflowService
from beep_orchestration.settings import Settings
from beep_orchestration.supervisor import Services, find_owner, running_services
from beep_orchestration.supervisor.home import check_port, free_port

DOCUMENTS = Path(__file__).parents[1] / "examples" / "documents"
_RELATIONS = 5


class Shown(Model):
    """What became of a document; `picture` is the file of its graph, if there is one."""

    document: str
    picture: str | None
    execution_id: str
    status: ExecutionStatus


def run_demo(
    settings: Settings,
    console: Console,
    *,
    organization: str | None,
    output_folder: Path,
    keep: bool,
    report: Callable[[Shown], None] | None = None,
) -> list[WorkflowStatus]:
    """Extract the example documents, show their graphs and write them as pages; how the executions ended.

    `report` is told of each document when all is written.

    Services that run already are used; otherwise they run as long as the demonstration, or with `keep` until a signal.
    A document that was extracted before, with the same rules, is not extracted again: its recorded graph is shown.

    Raises what `running_services` raises, and `ConfigurationError` if the output folder cannot be written to.
    """
    with _services(settings, console) as (services, reachable):
        with WorkflowService.connect(reachable, organization_id=organization) as service:
            names, recorded = _start_all(service)
            if recorded:
                console.print(_recorded(len(recorded), len(names)), soft_wrap=True)
            followed = follow(service, names, console)
            ended = [followed[execution_id] for execution_id in names]
            graphs = {names[status.execution_id]: _load(service, status.execution_id) for status in _completed(ended)}
        for graph, text in graphs.values():
            console.print(Rule(style="dim"))
            console.print(_short_report(graph, text))
        console.print(Rule(style="dim"))
        pictures = _write_pages(graphs, output_folder, console)
        console.print(f"Data        {_place(settings)}", soft_wrap=True)
        console.print(f"Dagster UI  {reachable.url}{_hint(services, keep=keep)}", soft_wrap=True)
        if report is not None:
            for status in ended:
                report(_shown(names[status.execution_id], status, pictures))
        if services is not None and keep:
            services.wait()
    return ended


def _shown(name: str, status: WorkflowStatus, pictures: Mapping[str, Path]) -> Shown:
    picture = pictures.get(name)
    return Shown(
        document=name,
        picture=None if picture is None else str(picture),
        execution_id=status.execution_id,
        status=status.status,
    )


def _place(settings: Settings) -> str:
    """Where executions and logs are kept."""
    return f"{settings.data_folder}{'' if settings.database_url is None else ' and the database of BEEP_DATABASE_URL'}"


def _hint(services: Services | None, *, keep: bool) -> str:
    """How long the UI answers, if it is this call that runs it."""
    if services is None:
        return ""
    return "  (until Ctrl-C)" if keep else "  (ends with this; 'make up' starts it again, with these executions)"


@contextmanager
def _services(settings: Settings, console: Console) -> Iterator[tuple[Services | None, Settings]]:
    """The services if this call runs them, and the settings by which they are reached."""
    owner = find_owner(settings.data_folder)
    if owner is not None:
        addresses = {"host": owner.host, "port": owner.port, "api_port": owner.api_port}
        reachable = settings.model_copy(update=addresses)
        console.print(f"Using the services of process {owner.pid} at {reachable.url}", soft_wrap=True)
        yield None, reachable
        return
    settings = _with_free_port(settings, console)
    console.print("Starting PostgreSQL, code server, webserver, daemon and API server ...", style="dim")
    with running_services(settings, report=console.print) as services:
        console.print(f"Dagster UI  {services.url}", soft_wrap=True)
        yield services, services.settings


def _with_free_port(settings: Settings, console: Console) -> Settings:
    try:
        check_port(settings.host, settings.port)
        check_port(settings.api_host, settings.api_port)
    except ConfigurationError:
        port = free_port(settings.host)
        console.print(f"Port {settings.port} or {settings.api_port} is taken; the demonstration uses {port}.")
        return settings.model_copy(update={"port": port, "api_port": port + 1})
    return settings


def _recorded(recorded: int, documents: int) -> str:
    """Otherwise what follows would read as if it had been done now."""
    which = "All" if recorded == documents else f"{recorded} of the"
    return f"{which} {documents} documents were extracted earlier: their recorded executions are shown."


def _start_all(service: WorkflowService) -> tuple[dict[str, str], set[str]]:
    """Start or take up an execution for each document, short documents first.

    Their names by execution, and those executions that had completed before.
    """
    names: dict[str, str] = {}
    recorded: set[str] = set()
    for path in sorted(DOCUMENTS.glob("*.txt"), key=lambda path: path.stat().st_size):
        text = decode_document(path.read_bytes())
        document = {"document_id": path.name, "text": text, "title": text.partition("\n")[0].strip()}
        accepted = service.start_or_get("extraction", document, idempotency_key=_key(document))
        execution_id = accepted.execution_id
        status = service.get_status(execution_id).status
        if status in {ExecutionStatus.FAILED, ExecutionStatus.CANCELLED}:
            service.resume(execution_id)
        if status is ExecutionStatus.COMPLETED and not accepted.is_new:
            recorded.add(execution_id)
        names[execution_id] = path.stem
    if not names:
        raise ConfigurationError(f"no documents in {DOCUMENTS}: run from a checkout of the project")
    return names, recorded


def _key(document: Json) -> str:
    """The same as long as document and extractor are, so that only what is new is extracted."""
    return f"demo-{canonical_digest({'document': document, 'extractor': identity('demo')})}"


def _completed(ended: list[WorkflowStatus]) -> list[WorkflowStatus]:
    return [status for status in ended if status.status is ExecutionStatus.COMPLETED]


def _load(service: WorkflowService, execution_id: str) -> tuple[Graph, str]:
    text: str = service.load_input(execution_id)["text"]
    return Graph.model_validate(service.result(execution_id)), text


def _short_report(graph: Graph, text: str) -> RenderableType:
    """The report of a graph with its surest relations only; the counts are those of the whole."""
    surest = sorted(graph.relations, key=lambda relation: -relation.confidence)[:_RELATIONS]
    return to_terminal(graph.model_copy(update={"relations": tuple(surest)}), text)


def _write_pages(graphs: Mapping[str, tuple[Graph, str]], folder: Path, console: Console) -> dict[str, Path]:
    """Write a page for each graph; the files by document."""
    pictures = {name: (folder / f"{name}.html").absolute() for name in graphs}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, (graph, text) in graphs.items():
            pictures[name].write_bytes(export(graph, text, GraphFormat.HTML))
            console.print(f"Picture     {pictures[name].as_uri()}", soft_wrap=True)
    except OSError as error:
        raise ConfigurationError(
            f"cannot write to {folder} ({error.strerror}); run from a folder of your own"
        ) from error
    return pictures
