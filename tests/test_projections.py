"""What happened becomes what is stored: without secrets, without what jsonb cannot hold, never too long."""

import json
import string
from urllib.parse import quote

import pytest
from dagster import DagsterRunStatus
from hypothesis import example, given
from hypothesis import strategies as st

from beep_orchestration.models import RunOutcome, StageProgress
from beep_orchestration.projections import error_info, progress_payload, run_outcome, storable_text

MARK = "Zq9"
"""Every generated secret contains it and nothing else in a message does, so that a rest of a secret is seen."""

visible = string.ascii_letters + string.digits + "-._~!$()*+=|^%#?[]"
secrets = st.text(visible, min_size=4, max_size=30).map(lambda text: f"{MARK}{text}{MARK}{text}{MARK}")
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40).map(
    lambda text: text.replace(MARK, "")
)


def _is_gone(message: str) -> None:
    assert MARK not in storable_text(message)


@given(words, words, secrets)
def test_the_password_of_a_url_is_not_stored(before: str, after: str, password: str) -> None:
    _is_gone(f"{before} postgresql://beep:{quote(password, safe='')}@db.example:5432/beep {after}")


@given(secrets, secrets)
def test_a_password_with_an_at_sign_is_not_stored(password: str, rest: str) -> None:
    _is_gone(f"cannot connect to postgresql://beep:{password}@{rest}@db.example/beep")


@given(
    words,
    st.sampled_from(
        ["api_key", "API-KEY", "apikey", "OPENAI_API_KEY", "token", "access_token", "password", "passwd", "secret"]
    ),
    st.sampled_from(["=", ": ", " = ", ":"]),
    secrets,
)
def test_a_named_secret_is_not_stored(before: str, name: str, separator: str, secret: str) -> None:
    _is_gone(f"{before} {name}{separator}{secret} after")


@given(st.sampled_from(["password", "client_secret", "x-api-key"]), secrets)
def test_a_secret_in_json_or_in_a_repr_is_not_stored(name: str, secret: str) -> None:
    _is_gone(json.dumps({"user": "ada", name: secret, "retry": True}))
    _is_gone(repr({"user": "ada", name: secret, "retry": True}))


@pytest.mark.parametrize("secret", [f"two words {MARK}", f"a,{MARK}", f"a;{MARK}", f"a}}{MARK}"])
def test_a_quoted_secret_is_not_stored_whatever_is_in_it(secret: str) -> None:
    _is_gone(json.dumps({"password": secret, "retry": True}))


@given(
    st.sampled_from(["Authorization: Bearer ", "authorization=Basic ", "Bearer ", "'Authorization': 'Bearer "]), secrets
)
def test_an_authorization_header_is_not_stored(header: str, secret: str) -> None:
    token = "".join(letter for letter in secret if letter in string.ascii_letters + string.digits + "-._~+/=")
    _is_gone(f"401 for {header}{token}' from the model")


@pytest.mark.parametrize("prefix", ["sk-", "pk_", "ghp_", "xoxb-", "xoxp-", "sk-proj-"])
def test_a_key_with_a_known_beginning_is_not_stored(prefix: str) -> None:
    _is_gone(f"refused {prefix}{MARK}abcdefghij0123456789, see the console")


def test_a_secret_in_json_within_json_is_not_stored() -> None:
    _is_gone(json.dumps({"body": json.dumps({"password": f"a {MARK}", "retry": True})}))


@pytest.mark.parametrize("run", ["a-", "token-", "://a:", "bearer ", "sk-", "password=", 'secret="\\'])
def test_a_long_message_is_read_in_time_linear_in_its_length(run: str) -> None:
    """A pattern that looks at a run again from each of its parts needs hours here, and ends by the time limit."""
    assert storable_text(run * 200_000)


@given(st.text(st.characters()))
@example("\x00\ud800\udfff and \N{GRINNING FACE}")
def test_stored_text_has_no_nul_and_no_lone_surrogate(text: str) -> None:
    stored = storable_text(text)
    assert "\x00" not in stored
    stored.encode("utf-8")


@given(st.text(string.ascii_letters + " .,()\n\N{GREEK SMALL LETTER ALPHA}"))
def test_an_ordinary_message_is_stored_as_it_is(message: str) -> None:
    assert storable_text(message) == message


@given(st.text(st.characters(), max_size=200), st.integers(min_value=0, max_value=100))
def test_an_error_is_stored_short_whatever_its_message(text: str, repeats: int) -> None:
    info = error_info(ValueError(text * repeats * 10))
    assert len(info.message) <= 2_000
    assert len(info.stack or "") <= 8_000
    info.model_dump_json().encode("utf-8")


def test_an_error_names_its_type_activity_and_place() -> None:
    def fail_deep_inside() -> None:
        raise KeyError("missing")

    with pytest.raises(KeyError) as raised:
        fail_deep_inside()
    info = error_info(raised.value, activity_name="mentions-3", attempt=2)
    assert (info.type, info.message, info.activity_name, info.attempt) == ("KeyError", "'missing'", "mentions-3", 2)
    assert "fail_deep_inside" in (info.stack or "")


def test_the_end_of_a_long_stack_is_kept() -> None:
    with pytest.raises(ValueError, match="deep enough") as raised:
        _call_in_turn(100)
    stack = error_info(raised.value).stack or ""
    assert len(stack) == 8_000
    assert stack.rstrip().endswith("ValueError: deep enough")


def _call_in_turn(depth: int) -> None:
    if depth == 0:
        raise ValueError("deep enough")
    if depth % 2:  # so that the stack is not shortened as a repetition
        _call_in_turn(depth - 1)
    else:
        _call_in_turn(depth - 1)


def test_secrets_in_the_cause_of_an_error_are_not_stored() -> None:
    error = RuntimeError("no database")
    error.__cause__ = OSError(f"connect to postgresql://beep:{MARK}@host failed")
    info = error_info(error)
    assert "connect to postgresql" in (info.stack or "")
    assert MARK not in (info.stack or "")
    assert "no database" in (info.stack or "")


class _UnreadableError(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


def test_an_error_that_cannot_say_itself_is_still_stored() -> None:
    info = error_info(_UnreadableError())
    assert info.type == "_UnreadableError"
    assert "ZeroDivisionError" in info.message


def test_progress_says_how_far_the_activity_type_is() -> None:
    payload = progress_payload("mentions", "mentions-4", StageProgress(done=5, total=9, attempts=7))
    assert payload == {"activity": "mentions-4", "activity_type": "mentions", "done": 5, "total": 9}


@pytest.mark.parametrize("status", DagsterRunStatus)
def test_every_dagster_status_is_an_outcome_or_still_open(status: DagsterRunStatus) -> None:
    ends = {"SUCCESS": RunOutcome.SUCCEEDED, "FAILURE": RunOutcome.FAILED, "CANCELED": RunOutcome.CANCELLED}
    assert run_outcome(status) is ends.get(status.value)
