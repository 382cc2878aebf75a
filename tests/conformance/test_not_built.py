"""Cases that do not fit; each says why."""

import pytest


@pytest.mark.skip(reason="after `cancel` returns no activity commits (guarantee 5), and a compensation would")
def test_19_a_cancel_of_a_parked_execution_runs_compensations() -> None:
    """The rest of the case holds: 12 and 26. Who wants things undone lets the workflow fail, by a signal of its own."""
