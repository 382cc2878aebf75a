"""What the page on language models says of counts, retries and options is what the code does."""

import re

from beep_orchestration.extraction import llm
from beep_orchestration.extraction.model import ExtractionOptions
from tests.docs.pages import ROOT, page

PAGE = page("llm")


def test_every_count_of_the_tally_is_explained_and_no_other() -> None:
    sources = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "beep_orchestration/extraction/llm").glob("*.py")
    )
    counted = set(re.findall(r'"((?:mentions|types|relations)_[a-z_]+)"', sources))
    explained = {cells[2].strip("`") for cells in PAGE.section("What it believes").table_rows()}
    assert counted == explained


def test_retries_are_as_many_as_the_page_says() -> None:
    policy = llm._PATIENT
    said = (
        f"up to {policy.maximum_attempts} times, with waits from {policy.first_delay:g} to {policy.maximum_delay:g} s"
    )
    assert said in PAGE.text


def test_options_that_are_named_exist() -> None:
    named = set(re.findall(r"`([a-z]+_budget[a-z_]*|account|when_[a-z_]+|batch_size|concurrency)`", PAGE.text))
    assert {"token_budget", "cost_budget", "when_budget_is_used_up"} <= named
    assert named - {"grant_budget"} <= set(ExtractionOptions.model_fields)
