"""What the code location offers: everything in the Dagster UI says what it is."""

from collections.abc import Iterator

import dagster as dg
import pytest

from beep_orchestration.definitions import defs
from beep_orchestration.errors import ConfigurationError
from beep_orchestration.ops import DocumentConfig
from beep_orchestration.steering_ops import ExecutionConfig, SignalConfig
from beep_orchestration.workflow_types import ActivityType
from beep_orchestration.workflows import stage_op

REPOSITORY = defs.get_repository_def()


def _described() -> Iterator[tuple[str, str | None]]:
    for job in REPOSITORY.get_all_jobs():
        yield f"job {job.name}", job.description
        for node in job.graph.nodes:
            yield f"op {node.name}", node.definition.description
    for sensor in REPOSITORY.sensor_defs:
        yield f"sensor {sensor.name}", sensor.description
    for name, resource in REPOSITORY.get_top_level_resources().items():
        yield f"resource {name}", resource.description


@pytest.mark.parametrize(("what", "description"), sorted(_described()), ids=[what for what, _ in sorted(_described())])
def test_everything_says_what_it_is(what: str, description: str | None) -> None:
    assert description, what
    assert description.endswith((".", ")"))


def test_all_that_the_ui_is_to_show_is_there() -> None:
    kinds = {what for what, _ in _described()}
    assert {"job extraction", "job send_signal", "job cancel_workflow", "job resume_workflow"} <= kinds
    assert {"sensor dispatcher", "sensor reconciler", "sensor inbox", "resource workflow"} <= kinds
    assert {"op chunk_text", "op extract_mentions", "op classify_entities", "op extract_relations"} <= kinds


@pytest.mark.parametrize("config", [DocumentConfig, ExecutionConfig, SignalConfig])
def test_every_field_of_a_form_says_what_it_is_for(config: type[dg.Config]) -> None:
    assert [name for name, field in config.to_fields_dict().items() if not field.description] == []


def test_the_launchpad_works_as_it_is_opened() -> None:
    """Every field has a documented default, so that a click on 'Launch Run' extracts the example."""
    assert not any(field.is_required for field in DocumentConfig.to_fields_dict().values())


class Untitled(dg.Config):
    """A form with a field that has to be filled in."""

    title: str


def test_a_form_that_has_to_be_filled_in_is_refused_at_once() -> None:
    """Runs of stored executions have no config: Dagster would refuse every one of them."""
    kind = ActivityType("titling", "give_title", str)
    with pytest.raises(ConfigurationError, match="field 'title' of its config has no default"):
        stage_op(kind, config=Untitled)
