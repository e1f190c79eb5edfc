"""Secrets are hidden before anything is stored; what is none stays as it is."""

from __future__ import annotations

import pytest

from benchmarks.secret_lines import HARMLESS, LEAKS, OF_KNOWN_FORM, USUAL
from groundup import secrets
from groundup.secrets import hide, hide_all

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"


@pytest.mark.parametrize(
    ("line", "hidden"),
    [
        ("login user=eve password=hunter2 from 10.0.0.1", "login user=eve password=*** from 10.0.0.1"),
        ("password: hunter2", "password: ***"),
        ("DB_PASSWORD=1234 DB_HOST=db", "DB_PASSWORD=*** DB_HOST=db"),
        ("dbPassword = 'my pass phrase', x", "dbPassword = '***', x"),
        ('{"user": "eve", "password": "hun\\"ter2", "n": 1}', '{"user": "eve", "password": "***", "n": 1}'),
        ('{"log": "{\\"password\\":\\"hunter2\\",\\"a\\":1}"}', '{"log": "{\\"password\\":\\"***\\",\\"a\\":1}"}'),
        ("{'password': 'x', 'user': 'a'}", "{'password': '***', 'user': 'a'}"),
        ("Config{User:a Password:hunter2 Port:1}", "Config{User:a Password:*** Port:1}"),
        ("spring.datasource.password=p;w", "spring.datasource.password=***;w"),
        ("connect(user=a,password=b,c,host=d)", "connect(user=a,password=***,host=d)"),
        ("Server=db;User Id=sa;Pwd=p4ss;Timeout=3", "Server=db;User Id=sa;Pwd=***;Timeout=3"),
        ("AccountName=a;AccountKey=Zm9vYmFyYmF6cXV4==;E=1", "AccountName=a;AccountKey=***;E=1"),
        ("mysql --user root --password hunter2 -h db", "mysql --user root --password *** -h db"),
        ("run --api-key=abcdef", "run --api-key=***"),
        ("<password>hunter2</password>", "<password>***</password>"),
        ("CREATE USER eve IDENTIFIED BY 'hunter2' x", "CREATE USER eve IDENTIFIED BY '***' x"),
        ("ALTER ROLE eve WITH PASSWORD 'hunter2'", "ALTER ROLE eve WITH PASSWORD '***'"),
        ("client_secret=correcthorse&scope=x", "client_secret=***&scope=x"),
        ("GET /cb?access_token=abc&x=1 HTTP/1.1", "GET /cb?access_token=***&x=1 HTTP/1.1"),
        ("GET /s3?X-Amz-Signature=0a1b2c3d4e5f&y=2", "GET /s3?X-Amz-Signature=***&y=2"),
        ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG", "AWS_SECRET_ACCESS_KEY=***"),
        ("key id AKIAIOSFODNN7EXAMPLE used", "key id *** used"),
        ('"x-api-key": "k1"', '"x-api-key": "***"'),
        ("token=9f86d081884c7d65", "token=***"),
        ("Authorization: Bearer abcdef status=401", "Authorization: Bearer *** status=401"),
        ('headers {"authorization":"Basic dXNlcjpwYXNz"}', 'headers {"authorization":"Basic ***"}'),
        ("curl -H 'Authorization: token a1b2c3d4e5'", "curl -H 'Authorization: token ***'"),
        ("authorization: 0a1b2c3d4e5f", "authorization: ***"),
        ("got Bearer 0123456789abcdef0123 from eve", "got Bearer *** from eve"),
        ("Cookie: sid=abc; theme=dark", "Cookie: ***"),
        ('"Set-Cookie": "sid=abc; Path=/"', '"Set-Cookie": "***"'),
        ("postgres://app:s3cret@db:5432/app?x=1", "postgres://app:***@db:5432/app?x=1"),
        ("redis://:p@ss@redis:6379/0", "redis://:***@redis:6379/0"),
        ("amqp://u:p/w@mq", "amqp://u:***@mq"),
        (f"jwt {JWT} expired", "jwt *** expired"),
        ("pushed with ghp_" + "a1B2" * 9, "pushed with ***"),
        ("glpat-abcdefghij0123456789 and xoxb-12345678901-abc", "*** and ***"),
        ("stripe sk_" "live_abcdefghij0123456789", "stripe ***"),
        ("-----BEGIN RSA PRIVATE KEY-----\\nMIIE\\n-----END RSA PRIVATE KEY-----\\n",
         "-----BEGIN RSA PRIVATE KEY-----***-----END RSA PRIVATE KEY-----\\n"),
    ],
)  # fmt: skip
def test_a_secret_is_hidden_and_its_key_stays(line: str, hidden: str) -> None:
    assert hide(line) == hidden
    assert hide_all(["x", line]) == ["x", hidden]
    assert hide(hidden) == hidden, "hiding twice changes nothing more"


@pytest.mark.parametrize("line", USUAL)
def test_what_is_no_secret_stays(line: str) -> None:
    assert hide(line) == line
    assert hide_all(["x", line]) == ["x", line]


def test_a_private_key_over_several_lines_is_hidden() -> None:
    body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
    lines = ["-----BEGIN PRIVATE KEY-----", body, f"2026-11-20T23:06:46Z {body}", "-----END PRIVATE KEY-----"]
    assert hide_all(lines) == ["-----BEGIN PRIVATE KEY-----***", "***", "2026-11-20T23:06:46Z ***", lines[3]]


@pytest.mark.parametrize("digest", ["0a1b2c3d" * 8, "sha256:" + "0a1b2c3d" * 8, "A" * 64, "/very/long/path" * 6])
def test_a_digest_or_a_path_is_no_key(digest: str) -> None:
    assert hide(f"pulled {digest}") == f"pulled {digest}"


@pytest.mark.parametrize(("line", "secret"), LEAKS + OF_KNOWN_FORM)
def test_nothing_of_a_secret_survives(line: str, secret: str) -> None:
    hidden = hide(line)
    assert secret not in hidden
    assert "***" in hidden
    assert hide_all(["x", line]) == ["x", hidden]
    assert hide(hidden) == hidden, "hiding twice changes nothing more"


@pytest.mark.parametrize("line", HARMLESS)
def test_a_harmless_line_stays(line: str) -> None:
    assert hide(line) == line
    assert hide_all(["x", line]) == ["x", line]


@pytest.mark.parametrize(
    "line",
    [
        "input_userauth_request: invalid user admin [preauth]",
        "cache hit for key 'user:profile'",
        "duplicate entry for key \"users.primary\"",
        "pam_unix(sshd:auth): authentication failure; logname= uid=0 tty=NODEVssh",
        "Failed password for root from 10.0.0.9 port 22 ssh2",
        "auth-service: 3 tokens: expired",
    ],
)  # fmt: skip
def test_the_patterns_are_not_tried_on_lines_whose_keys_have_no_value(
    line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are what hiding costs: most lines that name a key give it no value."""
    tried: list[str] = []
    monkeypatch.setattr(secrets, "_hide", lambda line: tried.append(line) or line)
    assert hide_all([line, "token=9f86d081884c7d65"]) == [line, "token=9f86d081884c7d65"]
    assert tried == ["token=9f86d081884c7d65"]


@pytest.mark.parametrize(
    ("line", "hidden"),
    [
        ("POST /webhook/1234/a1B2c3D4e5F6g7H8i9 200", "POST /webhook/1234/*** 200"),
        ("run -token a1B2c3D4e5F6 -v", "run -token *** -v"),
    ],
)
def test_a_secret_is_hidden_where_nothing_else_in_the_line_is_suspect(line: str, hidden: str) -> None:
    assert hide(line) == hidden
