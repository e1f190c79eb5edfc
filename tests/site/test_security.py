"""Nothing but this machine's own pages can use the site."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient

from groundup.course.course import Course
from groundup.site import create_app
from groundup.site.pages import ROUTES
from groundup.site.security import BODY_LIMIT, form_token
from tests.site.conftest import HOST

START = "/units/bedrock/vectors/start"


def page_token(client: TestClient) -> str:
    found = re.search(r'name="token" content="(\w+)"', client.get("/").text)
    assert found
    return found[1]


def address(path: str) -> str:
    """A route's pattern as an address that exists in the sample."""
    values = {"phase": "bedrock", "unit": "vectors", "figure": "race", "lab": "race", "name": "site.css"}
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda m: values.get(m[1], "devops"), path)


ACTIONS = [address(path) for method, path, _ in ROUTES if method == "POST"]
PAGES = [address(path) for method, path, _ in ROUTES if method == "GET" and "events" not in path]


def test_there_are_actions_and_pages_to_try():
    assert START in ACTIONS
    assert "/" in PAGES


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.5:4400", "", "localhost.evil:4400"])
def test_another_host_header_is_refused(client: TestClient, host: str):
    answer = client.get("/", headers={"host": host})
    assert answer.status_code == 421
    assert "is not a name of this site" in answer.text


@pytest.mark.parametrize("host", ["localhost:4400", "127.0.0.1:4400", "[::1]:4400", "LOCALHOST"])
def test_loopback_hosts_are_let_in(client: TestClient, host: str):
    assert client.get("/", headers={"host": host}).status_code == 200


def test_a_site_told_to_listen_wider_takes_its_name_and_any_address_but_no_other_name(course: Course):
    with TestClient(create_app(course, hosts=("box.lan",)), base_url="http://box.lan:4400") as client:
        assert client.get("/").status_code == 200
        assert client.get("/", headers={"host": "192.168.1.7:4400"}).status_code == 200
        assert client.get("/", headers={"host": "evil.example"}).status_code == 421


@pytest.mark.parametrize("path", ACTIONS)
def test_every_action_needs_the_page_token(client: TestClient, course: Course, path: str):
    client.get("/")
    answer = client.post(path, data={"token": "wrong"}, headers={"origin": HOST})
    assert answer.status_code == 403
    assert "from an earlier start" in answer.text
    assert not course.workspace.exists


@pytest.mark.parametrize("path", ACTIONS)
def test_every_action_needs_the_cookie(client: TestClient, course: Course, path: str):
    token = page_token(client)
    client.cookies.clear()
    assert client.post(path, data={"token": token}).status_code == 403
    assert not course.workspace.exists


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "null", "sec-fetch-site": "cross-site"},
    ],
)
def test_actions_from_another_origin_are_refused_even_with_the_token(
    client: TestClient, course: Course, headers: dict[str, str]
):
    answer = client.post(START, data={"token": page_token(client)}, headers=headers)
    assert answer.status_code == 403
    assert "must be" in answer.text
    assert not course.workspace.exists


@pytest.mark.parametrize("headers", [{}, {"origin": HOST, "sec-fetch-site": "same-origin"}])
def test_our_own_pages_are_let_through(client: TestClient, course: Course, headers: dict[str, str]):
    assert client.post(START, data={"token": page_token(client)}, headers=headers).status_code == 303
    assert course.workspace.exercise("bedrock/vectors").exists()


def test_the_token_may_come_in_a_header(client: TestClient, course: Course):
    answer = client.post(START, headers={"x-groundup-token": page_token(client)})
    assert answer.status_code == 303


def test_the_token_of_one_start_is_not_that_of_another(course: Course, client: TestClient):
    token = page_token(client)
    with TestClient(create_app(course), base_url=HOST) as other:
        other.get("/")
        assert other.post(START, data={"token": token}).status_code == 403


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites_and_not_on_the_page(course: Course):
    with TestClient(create_app(course, token="sesame"), base_url=HOST) as client:
        answer = client.get("/")
    assert re.search(r"groundup_\d+=sesame; Path=/; HttpOnly; SameSite=Strict", answer.headers["set-cookie"])
    assert "sesame" not in answer.text
    assert form_token("sesame") in answer.text


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_treated_as_actions(client: TestClient, method: str):
    assert client.request(method, "/").status_code in (403, 405)


@pytest.mark.parametrize("path", [*PAGES, "/nowhere", "/static/../app.py", "/units/nosuch"])
def test_every_answer_carries_the_policy(client: TestClient, path: str):
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_refusals_carry_the_policy_too(client: TestClient):
    for answer in (client.get("/", headers={"host": "evil"}), client.post(START)):
        assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("path", PAGES)
def test_no_page_has_inline_script_style_or_handler(client: TestClient, path: str):
    answer = client.get(path)
    if not answer.headers.get("content-type", "").startswith("text/html"):
        return
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", answer.text)
    assert all(re.search(r'\bsrc="/static/', tag) for tag in re.findall(r"<script[^>]*>", answer.text))


@pytest.mark.parametrize("path", PAGES)
def test_no_get_changes_anything(client: TestClient, course: Course, path: str):
    course.start("vectors")
    before = (course.ledger.last_id(), snapshot(course))
    assert client.get(path).status_code < 500
    assert (course.ledger.last_id(), snapshot(course)) == before


def snapshot(course: Course) -> dict[str, bytes]:
    """Every file of the workspace that is not made again at will."""
    root = course.workspace.root
    files = (p for p in root.rglob("*") if p.is_file() and course.workspace.cache_dir not in p.parents)
    return {
        str(p.relative_to(root)): p.read_bytes()
        for p in files
        if ".git/" not in str(p) and "ledger.sqlite" not in p.name
    }


def test_no_get_creates_a_workspace(client: TestClient, course: Course):
    for path in PAGES:
        client.get(path)
    assert not course.workspace.root.exists()


def test_a_long_body_is_refused_whatever_it_says_of_its_length(client: TestClient):
    token = page_token(client)
    body = b"text=" + b"a" * (BODY_LIMIT + 1)
    headers = {"x-groundup-token": token, "content-type": "application/x-www-form-urlencoded"}
    assert client.post(START, content=body, headers=headers).status_code == 413
    chunks = (body[i : i + 65536] for i in range(0, len(body), 65536))
    assert client.post(START, content=chunks, headers=headers).status_code == 413


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [("application/json", b"[1]", 415), ("application/json", b"{", 400), ("text/plain", b"token=x", 415)],
)
def test_other_bodies_are_refused(client: TestClient, kind: str, body: bytes, status: int):
    headers = {"x-groundup-token": page_token(client), "content-type": kind}
    assert client.post(START, content=body, headers=headers).status_code == status


@pytest.mark.parametrize(
    "path",
    [
        "/units/..%2F..%2Fetc/passwd",
        "/units/bedrock/..%2F..%2Fpyproject",
        "/static/..%2Fapp.py",
        "/static/%2e%2e/app.py",
    ],
)
def test_paths_are_only_looked_up(client: TestClient, path: str):
    assert client.get(path).status_code == 404
