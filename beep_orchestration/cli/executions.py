"""Commands for executions that exist: ask, watch, signal, cancel, resume, list."""

import json
import shlex
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from beep_orchestration.cli.invocation import (
    AsJson,
    ExecutionId,
    connected,
    console,
    current_settings,
    print_error,
    print_json,
    print_text,
    print_warning,
)
from beep_orchestration.counts import counted
from beep_orchestration.errors import InvalidInputError, JobNotLoadedError, WorkflowStateError
from beep_orchestration.extraction.review import REVIEW_SIGNALS
from beep_orchestration.models import ExecutionStatus, ModelUsage, Standing, Wait, WorkflowStatus

MaybeId = Annotated[str | None, typer.Argument(metavar="[ID]", help="One execution.", show_default=False)]
Everything = Annotated[bool, typer.Option("--all", help="All executions of the organization.")]
Instance = Annotated[bool, typer.Option("--instance", help="All executions of all organizations.")]


def status(ctx: typer.Context, execution_id: ExecutionId, *, as_json: AsJson = False) -> None:
    """Say how an execution stands.

    The exit code is 0 whatever the status is; a script reads it with

        beep status ID --json | jq -r .status
    """
    with connected(ctx) as service:
        found = service.get_status(execution_id)
    _show(found, as_json=as_json)
    _warn_of_unknown_types([found])


def watch(
    ctx: typer.Context,
    execution_ids: Annotated[list[str], typer.Argument(metavar="ID", help="The executions.", show_default=False)],
    *,
    as_json: AsJson = False,
) -> None:
    """Show progress until the executions have ended; exit code 1 unless all are completed.

    Ctrl-C ends the watching only. With --json each change is a line: the fields of 'status'.
    """
    from beep_orchestration.progress import changes, follow  # noqa: PLC0415 - not what every command needs

    ended: dict[str, WorkflowStatus] = {}
    with connected(ctx) as service:
        found = [service.get_status(execution_id) for execution_id in execution_ids]
        _warn_of_unknown_types(found)
        ids = [each.execution_id for each in found]
        if as_json:
            for change in changes(service, ids):
                print_json(change)
                ended[change.execution_id] = change
        else:
            ended = follow(service, {each.execution_id: each.about or each.execution_id for each in found}, console())
    require_completed(ended.values())


def signal(
    ctx: typer.Context,
    execution_id: ExecutionId,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the workflow waits for.", show_default=False)],
    payload: Annotated[str, typer.Argument(metavar="PAYLOAD_JSON", help="A JSON object.", show_default=False)],
    *,
    as_json: AsJson = False,
) -> None:
    """Send a signal to a running execution. It is stored before this returns, and never lost.

    beep signal ID approve '{"by": "ada"}'
    """
    parsed = _parse_payload(payload)
    with connected(ctx) as service:
        signal_id = service.signal(execution_id, name, parsed)
    if as_json:
        print_json({"signal_id": signal_id})
    else:
        print_text(f"sent {signal_id}")


def cancel(ctx: typer.Context, execution_id: ExecutionId, *, as_json: AsJson = False) -> None:
    """Cancel a running execution and its children: after this returns, nothing of them is committed any more.

    Exit code 1 if it had completed or failed before. What was completed is kept for 'beep resume'.
    """
    with connected(ctx) as service:
        result = service.cancel(execution_id)
    if as_json:
        print_json(result)
    elif result.status is ExecutionStatus.CANCELLED:
        when = "cancelled" if result.cancelled_now else "was cancelled before"
        print_text(f"{result.execution_id} {when}")
    if result.status is not ExecutionStatus.CANCELLED:
        raise WorkflowStateError(result.execution_id, result.status, "it ended before it could be cancelled")


def pause(
    ctx: typer.Context,
    execution_id: MaybeId = None,
    *,
    everything: Everything = False,
    instance: Instance = False,
    reason: Annotated[str | None, typer.Option(help="Why, for whoever asks.", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Let no activity start any more: of an execution, of the organization (--all), of the whole instance (--instance).

    Activities under way end and are recorded; then no process is held. It goes on with 'beep resume', given likewise.
    """
    target = _target(execution_id, everything=everything, instance=instance)
    with connected(ctx) as service:
        match target:
            case str() as one:
                changed = service.pause(one, reason)
            case everyone:
                changed = service.pause_organization(reason, everyone=everyone)
    _show_change("paused" if changed else "was paused before", changed=changed, as_json=as_json)


def resume(
    ctx: typer.Context,
    execution_id: MaybeId = None,
    *,
    everything: Everything = False,
    instance: Instance = False,
    as_json: AsJson = False,
) -> None:
    """Let a failed, cancelled or paused execution go on; completed activities are not run again.

    With --all or --instance what 'beep pause' stopped for the organization or the whole instance goes on.
    """
    target = _target(execution_id, everything=everything, instance=instance)
    with connected(ctx) as service:
        match target:
            case str() as one:
                _show(service.resume(one), as_json=as_json)
            case everyone:
                changed = service.end_organization_pause(everyone=everyone)
                _show_change("goes on" if changed else "was not paused", changed=changed, as_json=as_json)


def _target(execution_id: str | None, *, everything: bool, instance: bool) -> str | bool:
    """One execution, or whether everyone is meant and not only the organization."""
    if (execution_id is not None) + everything + instance != 1:
        raise typer.BadParameter("give one of an id, --all and --instance", param_hint="ID")
    return execution_id if execution_id is not None else instance


def _show_change(text: str, *, changed: bool, as_json: bool) -> None:
    if as_json:
        print_json({"changed": changed})
    else:
        print_text(text)


def list_executions(
    ctx: typer.Context,
    *,
    status: Annotated[
        Standing | None,
        typer.Option(
            "--status", help="Only those that stand so; running are also those that wait.", show_default=False
        ),
    ] = None,
    workflow_type: Annotated[
        str | None, typer.Option("--type", help="Only those of this workflow type.", show_default=False)
    ] = None,
    parent: Annotated[
        str | None, typer.Option(metavar="ID", help="Only the children of this execution.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many at most.")] = 50,
    cursor: Annotated[
        str | None, typer.Option(help="Go on where a page ended: the cursor that it printed.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List executions, newest first.

    beep list --status waiting

    beep list --status failed --json | jq -r '.executions[].execution_id'
    """
    with connected(ctx) as service:
        page = service.list(
            status=status, workflow_type=workflow_type, parent_execution_id=parent, limit=limit, cursor=cursor
        )
    _warn_of_unknown_types(page.executions)
    if as_json:
        print_json(page)
        return
    for found in page.executions:
        print_text(_row(found))
    if not page.executions:
        print_text("no executions" if cursor is None else "no more executions", style="dim")
    if page.cursor is not None:
        chosen = {"--status": status, "--type": workflow_type, "--parent": parent, "--limit": limit}
        options = [part for name, value in chosen.items() if value is not None for part in (name, str(value))]
        print_text(f"more: {shlex.join(['beep', 'list', *options, '--cursor', page.cursor])}", style="dim")


def usage(
    ctx: typer.Context,
    *,
    account: Annotated[
        str | None,
        typer.Option(help="Only executions started with this account ('-o account=NAME').", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what executions have consumed of language models, all of them or those of one account.

    beep start june/*.txt --extractor llm -o account=june -o cost_budget=20

    beep usage --account june
    """
    with connected(ctx) as service:
        found = service.get_usage(account=account)
    if as_json:
        print_json({kind: used.model_dump(mode="json") for kind, used in found.items()})
        return
    for kind, used in found.items():
        print_text(_spent(kind, used))
    if not found:
        print_text("no calls", style="dim")


def require_completed(ended: Iterable[WorkflowStatus]) -> None:
    """Say which executions did not complete, and leave with exit code 1 if there are any."""
    others = [found for found in ended if found.status is not ExecutionStatus.COMPLETED]
    for found in others:
        reason = found.error.message if found.error else "go on with 'beep resume'"
        print_error(WorkflowStateError(found.execution_id, found.status, reason))
    if others:
        raise typer.Exit(1)


def _warn_of_unknown_types(found: Iterable[WorkflowStatus]) -> None:
    """Say of which executions the services cannot launch the first run, because their code has not the type."""
    waiting = {each.workflow_type for each in found if _waits_for_first_run(each)}
    if not waiting:
        return
    from beep_orchestration.supervisor.readiness import find_readiness  # noqa: PLC0415 - not what every command needs

    settings = current_settings()
    readiness = find_readiness(settings.url, settings.code_location)
    if readiness is not None and readiness.location_error is None:
        for workflow_type in sorted(waiting - readiness.jobs):
            print_warning(str(JobNotLoadedError(settings.url, workflow_type)))


def _waits_for_first_run(found: WorkflowStatus) -> bool:
    return found.status is ExecutionStatus.RUNNING and not found.dagster_run_ids


def _parse_payload(text: str) -> dict[str, Any]:
    try:
        payload = json.loads(text)
    except ValueError as error:
        raise InvalidInputError(
            "payload", f"is not JSON ({error})", """send an object, such as '{"by": "ada"}'"""
        ) from error
    if not isinstance(payload, dict):
        raise InvalidInputError("payload", "is not a JSON object", """send an object, such as '{"by": "ada"}'""")
    return payload


def _show(found: WorkflowStatus, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    for label, value in _facts(found):
        print_text(f"{label:<10} {value}")


def _facts(found: WorkflowStatus) -> list[tuple[str, str]]:
    facts = [("execution", str(found.execution_id)), ("status", str(found.status))]
    if found.about is not None:
        facts.insert(1, ("about", found.about))
    if found.current_activity is not None:
        facts.append(("activity", found.current_activity))
    facts += [(kind, f"{stage.done}/{stage.total}") for kind, stage in found.activities.items()]
    if found.parent_execution_id is not None:
        facts.append(("parent", str(found.parent_execution_id)))
    if found.children:
        counts = ", ".join(f"{number} {status}" for status, number in found.children_by_status.items())
        more = sum(found.children_by_status.values()) > len(found.children)
        facts.append(("children", f"{counts}; all: beep list --parent {found.execution_id}" if more else counts))
    facts += [("child", f"{child.name}: {child.status}, {child.execution_id}") for child in found.children]
    facts += [("waits", wait.describe() + _answered_by(found, wait)) for wait in found.waiting_for]
    facts += [
        ("paused", f"{pause.describe()}; on with '{pause.ended_by(found.execution_id)}'") for pause in found.pauses
    ]
    if found.paused_for is not None:
        facts.append(("because", f"{found.paused_for.type}: {found.paused_for.message}"))
    facts += [("tokens", _spent(kind, usage)) for kind, usage in found.language_model.items()]
    facts += [("attempts", str(found.attempts)), ("started", f"{found.started_at:%Y-%m-%d %H:%M:%S %Z}")]
    if found.completed_at is not None:
        facts.append(("ended", f"{found.completed_at:%Y-%m-%d %H:%M:%S %Z}"))
    if found.error is not None:
        facts.append(("error", f"{found.error.type}: {found.error.message}"))
    awaited = "the end of the pause" if found.pauses else "'beep up' to run, which launches it"
    facts.append(("run", found.dagster_url or f"none yet; it waits for {awaited}"))
    return facts


def _answered_by(found: WorkflowStatus, wait: Wait) -> str:
    """The command by which a person gives what is waited for, if there is one for it."""
    is_review = found.workflow_type == "extraction" and REVIEW_SIGNALS.keys() <= set(wait.signals)
    return f"; decide with 'beep review {found.execution_id}'" if is_review else ""


def _spent(kind: str, usage: ModelUsage) -> str:
    """What calls to a language model consumed for the activities of one type."""
    told = f"{kind}: {usage.input_tokens:,} read, {usage.output_tokens:,} written in {counted(usage.calls, 'call')}"
    if usage.calls > usage.unpriced:
        told += f", cost {usage.cost:.4f}"
    others = {"recalled": usage.recalled, "unanswered": usage.unanswered, "without a known price": usage.unpriced}
    return told + "".join(f", {count} {name}" for name, count in others.items() if count)


def _row(found: WorkflowStatus) -> str:
    done = sum(stage.done for stage in found.activities.values())
    present = "waits for its first run" if _waits_for_first_run(found) else found.current_activity or ""
    started = f"{found.started_at:%Y-%m-%d %H:%M:%S %Z}"
    about = found.about or ""
    parts = (found.execution_id, f"{found.standing:<9}", started, found.workflow_type, about, f"{done} done", present)
    return "  ".join(filter(None, parts))
