"""Cases 35, 37, 39, 41 and 42: signals and waits without a race."""

from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from beep_orchestration.models import ExecutionStatus
from beep_orchestration.workflows import Stage
from tests.conformance.owners import LONGER, Owners, part
from tests.durability.workflow import load, sent_signals


def one_wait(stage: Stage) -> Any:
    answer = stage.await_signal("approve")
    return None if answer is None else answer.payload.by


def two_waits(stage: Stage) -> Any:
    return [one_wait(stage), one_wait(stage)]


def test_35_a_signal_that_lands_while_parking_is_committed_is_not_lost_if_the_owner_dies(owners: Owners) -> None:
    """The owner has looked and found nothing; it dies before its parking is committed, and after."""
    execution = owners.start()
    owners.own_and_die(execution, one_wait, "before_park_commit", execution)
    owners.service.signal(execution, "approve", {"by": "Ada"})
    owners.own(execution, one_wait)
    assert owners.service.result(execution) == {"value": "Ada"}

    execution = owners.start()
    owners.own_and_die(execution, one_wait, "after_park_commit", execution)
    owners.service.signal(execution, "approve", {"by": "Ada"})
    assert load(owners.database, execution).launch_at is not None
    owners.own(execution, one_wait)
    assert owners.service.result(execution) == {"value": "Ada"}


def test_37_two_waits_go_on_once_per_signal_in_order(owners: Owners) -> None:
    execution = owners.start()
    owners.own(execution, two_waits)
    owners.service.signal(execution, "approve", {"by": "Ada"})
    owners.own(execution, two_waits)
    assert load(owners.database, execution).status is ExecutionStatus.RUNNING
    owners.service.signal(execution, "approve", {"by": "Grace"})
    owners.service.signal(execution, "approve", {"by": "nobody asked"})
    owners.own(execution, two_waits)
    assert owners.service.result(execution) == {"value": ["Ada", "Grace"]}
    assert [signal.consumed_by is None for signal in sent_signals(owners.database, execution)] == [False, False, True]


def test_39_waits_of_one_activity_type_do_not_disturb_another(owners: Owners) -> None:
    """Both stages have a first wait for the same signal; each is ended by one of its own."""

    def close_up(stage: Stage, parts: list[Any]) -> Any:
        return [*parts, one_wait(stage), *stage.run([part(stage, "end")])]

    def body(stage: Stage) -> Any:
        return stage.run([part(stage, str(one_wait(stage)))])

    execution = owners.start(LONGER.name)
    owners.service.signal(execution, "approve", {"by": "Ada"})
    owners.own(execution, body, close_up)
    owners.service.signal(execution, "approve", {"by": "Grace"})
    owners.own(execution, body, close_up)
    assert owners.service.result(execution) == {"value": ["Ada", "Grace", "end"]}
    assert owners.calls() == ["Ada", "end"]


def test_41_a_signal_may_be_sent_before_any_worker_is_up(owners: Owners) -> None:
    """The sender knows the workflow type, because its signals are checked at the door; a run need not be there."""
    execution = owners.start()
    owners.service.signal(execution, "approve", {"by": "Ada"})
    owners.restart()
    owners.own(execution, one_wait)
    assert owners.service.result(execution) == {"value": "Ada"}


def test_42_trace_context_is_stored_with_start_and_signal_and_continued(
    owners: Owners, exporter: InMemorySpanExporter
) -> None:
    exporter.clear()
    with trace.get_tracer("caller").start_as_current_span("caller") as caller:
        execution = owners.start()
        owners.service.signal(execution, "approve", {"by": "Ada"})
    (signal,) = sent_signals(owners.database, execution)
    trace_id = f"{caller.get_span_context().trace_id:032x}"
    for stored in (load(owners.database, execution).trace_parent, signal.trace_parent):
        assert stored is not None
        assert trace_id in stored
    assert owners.own(execution, lambda stage: stage.run([part(stage, "0")])).success
    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert f"{spans['activity.part'].context.trace_id:032x}" == trace_id
