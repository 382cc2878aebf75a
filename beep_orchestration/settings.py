"""Settings from the environment (`BEEP_*`) and from a `.env` file; the only reader of the environment."""

import json
import os
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

import platformdirs
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from beep_orchestration.errors import ConfigurationError
from beep_orchestration.ids import OrganizationId
from beep_orchestration.refusals import first_fault

_SHORTEST_TOKEN = 20
Token = Annotated[SecretStr, Field(min_length=_SHORTEST_TOKEN)]
Port = Annotated[int, Field(ge=1, le=65_535)]


def _default_data_folder() -> Path:
    """Where the embedded PostgreSQL lives: as root it runs under a user of its own, which must be able to reach it."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/beep-orchestration")
    return platformdirs.user_data_path("beep-orchestration", appauthor=False)


_TOKENS_EXAMPLE = '{"ORGANIZATION": ["TOKEN"]}'


class Settings(BaseSettings):
    """Every setting has a default with which `beep up` works on one machine, on loopback only."""

    model_config = SettingsConfigDict(
        env_prefix="BEEP_",
        env_ignore_empty=True,
        env_file=".env",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,  # the input may be a URL with a password, and an error's text reaches logs
    )

    database_url: SecretStr | None = Field(
        default=None, description="postgresql://user:password@host:port/database; unset: embedded PostgreSQL"
    )
    data_folder: Path = Field(
        default_factory=_default_data_folder,
        description="the embedded PostgreSQL, outputs, and what was learned from examples",
    )
    host: str = Field(default="127.0.0.1", description="where the Dagster webserver listens and is asked")
    port: Port = Field(default=3000, description="the Dagster webserver's port")
    code_location: str = Field(default="beep_orchestration", description="the name of our code location in Dagster")
    organization: OrganizationId = Field(
        default=OrganizationId("shared_organization__00000000-0000-7000-8000-000000000001"),
        description="the organization of runs that name none",
    )
    workflow_modules: str | None = Field(
        default=None, description="modules with workflow types of your own, separated by commas"
    )
    park_after_seconds: float = Field(
        default=2.0, ge=0, description="how long a run waits for a signal before it ends and holds no process"
    )
    inbox_folder: Path | None = Field(default=None, description="one execution for each new document file in it")
    maximum_signal_bytes: int = Field(default=262_144, ge=1, description="longest accepted signal payload, as JSON")
    maximum_document_characters: int = Field(default=10_000_000, ge=1, description="longest accepted document")
    api_host: str = Field(default="127.0.0.1", description="where the HTTP API listens")
    api_port: Port = Field(
        default_factory=lambda settings: settings.get("port", 3_000) + 1, description="the HTTP API's port"
    )
    api_tokens: Annotated[dict[OrganizationId, tuple[Token, ...]], NoDecode] = Field(
        default_factory=dict, description="JSON: an organization to its tokens; none: loopback only"
    )
    lease_seconds: float = Field(default=15.0, gt=0, description="how long a silent run keeps its claim")
    dagster_timeout_seconds: float = Field(default=30.0, gt=0, description="how long Dagster may take to answer")
    launch_grace_seconds: float = Field(
        default=10.0, ge=0, description="before an accepted execution is launched again"
    )
    maximum_launches_without_progress: int = Field(
        default=3, ge=1, description="runs that may die for an execution without completing an activity"
    )

    llm_model: str | None = Field(
        default=None,
        pattern=r"^\S+$",
        description="the language model of the extractor `llm`, as pydantic-ai names it (openai:gpt-5-mini), or as "
        "BEEP_LLM_BASE_URL does",
    )
    llm_base_url: str | None = Field(
        default=None, pattern=r"^https?://[^@\s]+$", description="an endpoint that is compatible with OpenAI's"
    )
    llm_api_key: SecretStr | None = Field(default=None, description="unset: the provider's own variable is read")
    llm_output: Literal["native", "tool", "prompted"] | None = Field(
        default=None, description="how answers are bound to a schema; unset: as well as the model is known to allow"
    )
    llm_timeout_seconds: float = Field(default=300.0, gt=0, description="how long one call may take")
    llm_maximum_output_tokens: int = Field(default=8_192, ge=1, description="longest answer")
    llm_concurrency: int = Field(default=8, ge=1, description="calls that one process has under way")
    llm_calls_per_minute: float | None = Field(default=None, gt=0, description="calls that one process begins")
    llm_input_price: Decimal | None = Field(default=None, ge=0, description="price of a million tokens read")
    llm_output_price: Decimal | None = Field(default=None, ge=0, description="price of a million tokens written")
    llm_cache: bool = Field(default=True, description="use answers that the organization has paid for before")

    @property
    def url(self) -> str:
        """The address of the Dagster UI."""
        return _url(self.host, self.port)

    @property
    def api_url(self) -> str:
        """The address of the HTTP API and its pages."""
        return _url(self.api_host, self.api_port)

    @field_validator("database_url")
    @classmethod
    def _is_postgresql(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("must start with postgresql://")
        return value

    @field_validator("api_tokens", mode="before")
    @classmethod
    def _is_json(cls, value: Any) -> Any:
        try:
            tokens = json.loads(value) if isinstance(value, str) else value
        except ValueError as error:
            raise ValueError(f"is not JSON ({error}), such as {_TOKENS_EXAMPLE}") from error
        begin = f"{OrganizationId.entity}__"
        if isinstance(tokens, dict) and not all(str(key).startswith(begin) for key in tokens):
            # which is not repeated: who swaps the two gives a token in its place
            raise ValueError(f"has a key that does not begin with {begin}, write it as {_TOKENS_EXAMPLE}")
        return tokens


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """The settings of this process, read once; raises `ConfigurationError` that names the variable."""
    try:
        return Settings()
    except ValidationError as error:
        path, problem, _ = first_fault(error)
        name, _, within = path.partition(".")
        place = f" ({within})" if within and not within.endswith("[key]") else ""  # a wrong key names itself
        raise ConfigurationError(f"BEEP_{name.upper()}: {problem}{place}; correct the variable or unset it") from error


def with_driver(url: str, driver: Literal["psycopg", "psycopg2"]) -> str:
    """The URL for SQLAlchemy with that driver: our own code uses psycopg, Dagster's storage psycopg2."""
    _, _, rest = url.partition("://")
    return f"postgresql+{driver}://{rest}"


def socket_url(socket_folder: Path, database: str = "postgres") -> str:
    """The URL of the embedded server behind the Unix socket in that folder."""
    return f"postgresql://postgres@/{database}?host={quote(str(socket_folder), safe='/')}"
