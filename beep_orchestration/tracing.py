"""The caller's trace, stored with what it asked for and continued by whoever does the work.

W3C Trace Context (https://www.w3.org/TR/trace-context/): the text of its `traceparent` header.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

tracer = trace.get_tracer("beep_orchestration")
_FIELD = "traceparent"
_propagator = TraceContextTextMapPropagator()


def current_trace_parent() -> str | None:
    """The span that is open now; None if nobody traces."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get(_FIELD)


@contextmanager
def continued_span(name: str, trace_parent: str | None, attributes: dict[str, str]) -> Iterator[None]:
    """A span within the block, as a child of the stored one if there is one."""
    carrier = {} if trace_parent is None else {_FIELD: trace_parent}
    context = _propagator.extract(carrier)
    with tracer.start_as_current_span(name, context=context, attributes=attributes):
        yield
