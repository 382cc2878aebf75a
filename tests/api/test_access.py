"""Who may use the API, from where, and what a browser may be made to do with it."""

import json

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from beep_orchestration.api.access import check_exposure, is_loopback
from beep_orchestration.errors import ConfigurationError
from beep_orchestration.persistence import Database
from beep_orchestration.settings import Settings, load_settings
from tests.api.conftest import OTHER_TOKEN, TOKEN, TOKENS, bearing
from tests.api.test_operations import START, problem, start
from tests.factories import ORGANIZATION, OTHER_ORGANIZATION, accepted


@pytest.mark.parametrize("header", [{}, bearing("wrong-token-of-some-length"), {"Authorization": f"Basic {TOKEN}"},
                                    {"Authorization": TOKEN}, bearing(TOKEN[:-1])])  # fmt: skip
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/workflows"), ("POST", "/workflows"), ("GET", "/workflows/x/progress")]
)
def test_without_a_known_token_nothing_is_answered(
    guarded: httpx.Client, header: dict[str, str], method: str, path: str
) -> None:
    answer = guarded.request(method, path, json=START if method == "POST" else None, headers=header)
    assert problem(answer, 401)["field"] == "Authorization"
    assert answer.headers["www-authenticate"] == 'Bearer realm="beep"'


def test_a_token_speaks_for_its_organization(guarded: httpx.Client, database: Database) -> None:
    with database.transaction() as tables:
        own = accepted(tables, organization_id=ORGANIZATION).id
        others = accepted(tables, organization_id=OTHER_ORGANIZATION).id
    for token, visible, hidden in ((TOKEN, own, others), (OTHER_TOKEN, others, own), ("t" * 20, others, own)):
        listed = guarded.get("/workflows", headers=bearing(token)).json()["executions"]
        assert [each["execution_id"] for each in listed] == [visible]
        for path in ("", "/progress", "/history", "/result", "/graph"):
            problem(guarded.get(f"/workflows/{hidden}{path}", headers=bearing(token)), 404)
        for path, body in (("cancel", None), ("resume", None), ("signals", {"signal_name": "pause"})):
            problem(guarded.post(f"/workflows/{hidden}/{path}", json=body, headers=bearing(token)), 404)


def test_keys_of_organizations_do_not_meet(guarded: httpx.Client) -> None:
    ids = [start(guarded, **{"Idempotency-Key": "order-17"}, **bearing(token)) for token in (TOKEN, OTHER_TOKEN)]
    assert len(set(ids)) == 2


def test_pages_document_and_health_need_no_token_and_say_nothing_of_executions(guarded: httpx.Client) -> None:
    for path in ("/", "/workflows/knowledge_workflow_execution__x", "/openapi.json", "/health"):
        assert guarded.get(path, headers={"Accept": "text/html"}).status_code == 200


OTHER_HOSTS = ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:3001", "", "[::1", "10.0.0.1"]


@pytest.mark.parametrize("host", OTHER_HOSTS)
def test_another_host_name_is_refused_where_no_token_is_asked_for(
    api: httpx.Client, guarded: httpx.Client, host: str
) -> None:
    for path in ("/workflows", "/", "/openapi.json"):
        assert problem(api.get(path, headers={"Host": host}), 421)["field"] == "Host"
    if "[" not in host:
        assert guarded.get("/workflows", headers={"Host": host, **bearing(TOKEN)}).status_code == 200


@pytest.mark.parametrize("host", ["localhost", "localhost:9", "127.0.0.1", "127.0.0.9:3001", "[::1]:3001"])
def test_names_of_this_machine_are_answered(api: httpx.Client, host: str) -> None:
    assert api.get("/workflows", headers={"Host": host}).status_code == 200


CROSS_SITE = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1"},
]


@pytest.mark.parametrize("headers", CROSS_SITE)
def test_another_origins_page_changes_nothing(api: httpx.Client, headers: dict[str, str]) -> None:
    execution = start(api)
    for path in ("/workflows", f"/workflows/{execution}/cancel", f"/workflows/{execution}/signals"):
        problem(api.post(path, json=START, headers=headers), 403)
    assert api.get(f"/workflows/{execution}").json()["status"] == "running"
    assert len(api.get("/workflows").json()["executions"]) == 1


def test_the_servers_own_pages_may_send(api: httpx.Client, url: str) -> None:
    for headers in ({"Origin": url}, {"Origin": url, "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}):
        start(api, **headers)


@pytest.mark.parametrize("path", ["/", "/workflows", "/openapi.json", "/health", "/nothing"])
def test_every_answer_has_the_headers_that_keep_browsers_safe(api: httpx.Client, path: str) -> None:
    answer = api.get(path, headers={"Origin": "https://evil.example"})
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert "set-cookie" not in answer.headers
    assert "server" not in answer.headers


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "beep.example", "::"])  # noqa: S104 - to be refused
def test_beyond_this_machine_tokens_are_needed(host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"BEEP_API_HOST.*set tokens"):
        check_exposure(Settings(api_host=host))
    check_exposure(Settings(api_host=host, api_tokens=TOKENS))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_on_this_machine_they_are_not(host: str) -> None:
    assert is_loopback(host)
    check_exposure(Settings(api_host=host))


def test_tokens_are_read_from_the_environment_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEEP_API_TOKENS", json.dumps({ORGANIZATION: [TOKEN, OTHER_TOKEN]}))
    load_settings.cache_clear()
    settings = load_settings()
    load_settings.cache_clear()
    assert settings.api_tokens == {ORGANIZATION: (SecretStr(TOKEN), SecretStr(OTHER_TOKEN))}
    assert TOKEN not in repr(settings)


@pytest.mark.parametrize("tokens", [{ORGANIZATION: ["short"]}, {"not an id": [TOKEN]}])
def test_tokens_that_can_be_guessed_are_refused(tokens: dict[str, list[str]]) -> None:
    with pytest.raises(ValidationError):
        Settings(api_tokens=tokens)  # type: ignore[arg-type]
