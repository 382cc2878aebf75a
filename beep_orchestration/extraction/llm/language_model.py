"""One language model as a process asks it: within its limits, each question once.

Nothing here asks a second time. pydantic-ai's retries and those of its providers' clients are switched off, so that
every call that may be paid is known to whoever accounts for it, and retries are the activity runner's.
"""

import asyncio
import os
import re
import threading
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from beep_orchestration.digests import canonical_digest
from beep_orchestration.errors import (
    InvalidAnswerError,
    InvalidInputError,
    LanguageModelError,
    PermanentActivityError,
    RetryLaterError,
)
from beep_orchestration.extraction.llm.questions import Question
from beep_orchestration.extraction.model import ExtractionOptions
from beep_orchestration.settings import Settings

if TYPE_CHECKING:
    from pydantic_ai import ModelResponse
    from pydantic_ai.exceptions import ModelAPIError
    from pydantic_ai.models import Model, ModelRequestParameters

T = TypeVar("T")

_MILLION = 1_000_000
_LONGEST_DETAIL = 300
_INTERRUPTIBLE_SECONDS = 0.2
_DEFAULT_WAIT_SECONDS = 5.0  # of a provider that is busy and does not say for how long


@dataclass(frozen=True)
class Usage:
    """What a call consumed. `cost` is in the currency of the prices, None where they are unknown."""

    input_tokens: int
    output_tokens: int
    cost: Decimal | None


@dataclass(frozen=True)
class Reply:
    """A model's answer as text. `is_cut` tells that it went on beyond the longest answer that the settings allow."""

    content: str
    usage: Usage
    is_cut: bool


def require_llm(settings: Settings, options: ExtractionOptions) -> None:
    """The door of the extractor `llm`: what can be known before a run is checked here. A key is not: runs need it.

    Raises:
        InvalidInputError: the extra is not installed, no model is set or its provider is not known, or there is a
            budget for its cost and no price; names the remedy.
    """
    if find_spec("pydantic_ai") is None:
        raise InvalidInputError(
            "extractor", "'llm' needs the extra 'llm'", "run 'pip install \"beep-orchestration[llm]\"', or use 'local'"
        )
    if settings.llm_model is None:
        raise InvalidInputError(
            "extractor",
            "'llm' needs a language model",
            "set BEEP_LLM_MODEL (openai:gpt-5-mini) where executions are started and where 'beep up' runs, "
            "or use 'local'",
        )
    if settings.llm_base_url is None:
        _require_known_provider(settings.llm_model)
    if options.cost_budget is not None and not _is_priced(settings):
        raise InvalidInputError(
            "options.cost_budget",
            f"the price of {settings.llm_model!r} is not known",
            "set BEEP_LLM_INPUT_PRICE and BEEP_LLM_OUTPUT_PRICE, or give a token_budget",
        )


def _is_priced(settings: Settings) -> bool:
    if settings.llm_input_price is not None and settings.llm_output_price is not None:
        return True
    if settings.llm_base_url is not None:
        return False
    from genai_prices import Usage as PricedUsage  # noqa: PLC0415 - comes with the extra
    from genai_prices import calc_price  # noqa: PLC0415
    from pydantic_ai.models import parse_model_id  # noqa: PLC0415

    provider, name = parse_model_id(settings.llm_model or "")
    try:
        calc_price(PricedUsage(input_tokens=1, output_tokens=1), name, provider_id=provider)
    except LookupError:
        return False
    return True


def _require_known_provider(model: str) -> None:
    from pydantic_ai.models import parse_model_id  # noqa: PLC0415 - slow to import, and an extra
    from pydantic_ai.providers import infer_provider_class  # noqa: PLC0415

    provider, _ = parse_model_id(model)
    problem, remedy = f"pydantic-ai knows no model {model!r}", "set BEEP_LLM_MODEL to provider:model"
    try:
        if provider is not None:
            infer_provider_class(provider)
            return
    except ImportError as error:
        problem, remedy = str(error), "install it, or set BEEP_LLM_MODEL to a model of another provider"
    except ValueError:
        pass
    raise InvalidInputError("extractor", problem, remedy)


_KEY_VARIABLE = re.compile(r"`(?P<name>[A-Z][A-Z0-9_]*KEY)` environment variable")
"""In what pydantic-ai says of a missing key, with advice for who programs with it."""
_models: "list[tuple[Settings, LanguageModel]]" = []
_models_lock = threading.Lock()


def language_model(settings: Settings) -> "LanguageModel":
    """The model of this process, whose limits all its executions share; a forked process begins with none."""
    with _models_lock:
        known = next((model for its, model in _models if its == settings), None)  # settings have no hash
        if known is None:
            known = LanguageModel(settings)
            _models.append((settings, known))
        return known


os.register_at_fork(after_in_child=_models.clear)


class LanguageModel:
    """Asks one model. Safe to use from several threads; connects at the first question."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._limits = _Limits(settings.llm_concurrency, settings.llm_calls_per_minute)
        self._bridge = _Bridge()

    @property
    def identity(self) -> str:
        """The model's name and a digest of all settings that could change its answers; no secret is in it."""
        settings = self._settings
        shaping = [settings.llm_base_url, settings.llm_output, settings.llm_maximum_output_tokens]
        return f"{settings.llm_model} settings-{canonical_digest(shaping)[:8]}"

    def ask(self, question: Question[Any]) -> Reply:
        """Ask once, when the limits allow.

        An activity that is given up takes its call with it within a moment.

        Raises:
            RetryLaterError: the provider is busy (HTTP 429, 503, 529), with its `Retry-After`. Not paid. All questions
                of this process wait for that time.
            LanguageModelError: no answer came: the connection failed or was cut, or time ran out.
            InvalidAnswerError: what came is no answer of a model.
            PermanentActivityError: the provider refuses the question, the key or the account. Not paid.
        """
        with self._limits.turn():
            return self._bridge.run(self._request(question))

    def check(self) -> None:
        """Make the provider's client, and ask nothing.

        Raises `PermanentActivityError` if there is no key, or the client is not installed.
        """

        async def make() -> None:
            _ = self._model

        self._bridge.run(make())

    async def _request(self, question: Question[Any]) -> Reply:
        from pydantic_ai import ModelRequest, UserPromptPart  # noqa: PLC0415 - slow to import, and an extra
        from pydantic_ai.direct import model_request  # noqa: PLC0415
        from pydantic_ai.exceptions import ModelAPIError, UnexpectedModelBehavior, UserError  # noqa: PLC0415

        seconds = self._settings.llm_timeout_seconds
        try:
            response = await model_request(
                self._model,
                [ModelRequest(parts=[UserPromptPart(question.material)], instructions=question.instructions)],
                model_settings={
                    "max_retries": 0,
                    "max_tokens": self._settings.llm_maximum_output_tokens,
                    "request_timeout": seconds,
                    "temperature": 0.0,
                    "timeout": seconds,
                },
                model_request_parameters=self._parameters(question),
            )
        except ModelAPIError as error:
            raise self._translated(error) from error
        except UnexpectedModelBehavior as error:
            raise InvalidAnswerError(_short(error.message)) from error
        except UserError as error:
            raise PermanentActivityError(f"the language model cannot be asked: {_short(error.message)}") from error
        return Reply(_content(response), self._usage(response), is_cut=response.finish_reason == "length")

    def _parameters(self, question: Question[Any]) -> "ModelRequestParameters":
        from pydantic_ai.models import ModelRequestParameters  # noqa: PLC0415
        from pydantic_ai.output import OutputObjectDefinition  # noqa: PLC0415
        from pydantic_ai.tools import ToolDefinition  # noqa: PLC0415

        mode = self._settings.llm_output or self._best_output
        return ModelRequestParameters(
            output_mode=mode,
            output_object=OutputObjectDefinition(json_schema=question.schema, name="answer"),
            output_tools=[ToolDefinition(name="answer", parameters_json_schema=question.schema)],
            allow_text_output=mode != "tool",
        )

    @property
    def _best_output(self) -> Any:
        """What binds this kind of model to a schema best."""
        profile = self._model.profile
        if profile.get("supports_json_schema_output", False):
            return "native"
        return "tool" if profile.get("supports_tools", True) else "prompted"

    @cached_property
    def _model(self) -> "Model[Any]":
        """Built in the bridge's loop, to which its connections belong."""
        from pydantic_ai.exceptions import UserError  # noqa: PLC0415
        from pydantic_ai.models import infer_model  # noqa: PLC0415
        from pydantic_ai.models.openai import OpenAIChatModel  # noqa: PLC0415
        from pydantic_ai.profiles.openai import OpenAIModelProfile  # noqa: PLC0415
        from pydantic_ai.providers import infer_provider, infer_provider_class  # noqa: PLC0415
        from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider  # noqa: PLC0415

        name, key = self._settings.llm_model or "", self._settings.llm_api_key
        if self._settings.llm_base_url is not None:
            secret = key.get_secret_value() if key else None
            provider = OpenAICompatibleProvider("endpoint", base_url=self._settings.llm_base_url, api_key=secret)
            # The older name of the limit, which all such endpoints know.
            profile = OpenAIModelProfile(openai_chat_supports_max_completion_tokens=False)
            return OpenAIChatModel(name, provider=provider, profile=profile)
        try:
            if key is None:
                return infer_model(name, infer_provider)
            return infer_model(name, lambda kind: infer_provider_class(kind)(api_key=key.get_secret_value()))  # type: ignore[call-arg]
        except (UserError, ImportError, TypeError) as error:
            if key is None and (variable := _KEY_VARIABLE.search(str(error))):
                raise PermanentActivityError(
                    f"the language model {name!r} has no key; set BEEP_LLM_API_KEY or {variable['name']} "
                    "where 'beep up' runs"
                ) from error
            raise PermanentActivityError(f"the language model {name!r} cannot be used: {error}") from error

    def _usage(self, response: "ModelResponse") -> Usage:
        used = response.usage
        return Usage(used.input_tokens, used.output_tokens, self._cost(response))

    def _cost(self, response: "ModelResponse") -> Decimal | None:
        """By the prices of the settings, else by those that genai-prices knows."""
        settings, used = self._settings, response.usage
        if settings.llm_input_price is not None and settings.llm_output_price is not None:
            cost = used.input_tokens * settings.llm_input_price + used.output_tokens * settings.llm_output_price
            return cost / _MILLION
        try:
            return response.cost().total_price
        except (LookupError, ValueError, AssertionError):
            return None

    def _translated(self, error: "ModelAPIError") -> Exception:
        """The provider's error as ours. Its body is shortened, and left out where it may repeat the key."""
        from pydantic_ai import exceptions  # noqa: PLC0415

        name = error.model_name
        if isinstance(error, exceptions.ModelRateLimitError | exceptions.ModelUnavailableError):
            seconds = _DEFAULT_WAIT_SECONDS if error.retry_after is None else max(error.retry_after, 0.0)
            self._limits.hold(seconds)
            return RetryLaterError(f"the language model {name} is busy", seconds)
        if isinstance(error, exceptions.ModelAuthenticationError):
            remedy = "check BEEP_LLM_API_KEY or the provider's own variable"
            return PermanentActivityError(f"the provider of {name} refuses the key or its rights; {remedy}")
        if isinstance(error, exceptions.ModelQuotaExceededError):
            return PermanentActivityError(f"the account at the provider of {name} is used up; top it up and resume")
        if isinstance(error, exceptions.ModelRequestRejectedError):
            return PermanentActivityError(f"the provider of {name} refuses the question: {_short(error.message)}")
        if isinstance(error, exceptions.ModelConnectionError):
            was_sent = error.phase not in ("pool", "connect")
            return LanguageModelError(f"{name} gave no answer: {_short(error.message)}", may_be_paid=was_sent)
        has_refused = isinstance(error, exceptions.ModelHTTPError)
        return LanguageModelError(f"{name} gave no answer: {_short(error.message)}", may_be_paid=not has_refused)


class _Limits:
    """How many questions a process asks at once and per minute, and until when a busy provider is left in peace."""

    def __init__(self, concurrency: int, calls_per_minute: float | None) -> None:
        self._slots = threading.Semaphore(concurrency)
        self._interval = 0.0 if calls_per_minute is None else 60.0 / calls_per_minute
        self._lock = threading.Lock()
        self._next = 0.0
        self._held_until = 0.0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a slot and for the time of the next call."""
        while not self._slots.acquire(timeout=_INTERRUPTIBLE_SECONDS):
            pass
        try:
            while (seconds := self._reserve()) > 0:
                time.sleep(min(seconds, _INTERRUPTIBLE_SECONDS))
            yield
        finally:
            self._slots.release()

    def hold(self, seconds: float) -> None:
        """Begin no call before that many seconds have passed."""
        with self._lock:
            self._held_until = max(self._held_until, time.monotonic() + seconds)

    def _reserve(self) -> float:
        """Seconds to wait before asking again for a turn; zero if it is this call's turn, which is then taken."""
        with self._lock:
            now = time.monotonic()
            seconds = max(self._held_until, self._next) - now
            if seconds <= 0:
                self._next = now + self._interval
            return seconds


class _Bridge:
    """An event loop in a thread of its own, in which all calls of the process live side by side."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="language-model", daemon=True).start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """What the coroutine returns; if this thread is interrupted, as that of an abandoned activity, it is cancelled.

        Python interrupts a thread only while it runs Python code, so the wait is one of many short ones.
        """
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            while not wait([future], timeout=_INTERRUPTIBLE_SECONDS).done:
                pass
            return future.result()
        except BaseException:
            future.cancel()
            raise


def _content(response: "ModelResponse") -> str:
    """The text of an answer, or the arguments of the tool by which it is given."""
    from pydantic_ai import TextPart, ToolCallPart  # noqa: PLC0415

    for part in response.parts:
        if isinstance(part, ToolCallPart):
            return part.args if isinstance(part.args, str) else part.args_as_json_str()
    return "".join(part.content for part in response.parts if isinstance(part, TextPart))


def _short(message: str) -> str:
    line = " ".join(message.split())
    return line if len(line) <= _LONGEST_DETAIL else line[:_LONGEST_DETAIL] + "..."
