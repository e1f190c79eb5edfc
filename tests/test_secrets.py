"""Secrets are hidden before anything is stored; what is none stays as it is."""

from __future__ import annotations

import pytest

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


@pytest.mark.parametrize(
    "line",
    [
        "Failed password for root from 10.0.0.1 port 22 ssh2",
        "Invalid password: user admin is locked",
        "password: null, token: true",
        'password="" secret=[REDACTED]',
        "SyntaxError: Unexpected token: } in JSON at position 12",
        "prompt_tokens=512 max_tokens: 4096 token=12",
        "range token=-9223372036854775808 moved",
        'MountVolume.SetUp failed for volume "tls" : secret "db-password" not found',
        "secret: my-app-config not found",
        "secretName: registry-credentials",
        "credentials: not configured",
        "Cache hit for key user_profile_12",
        "primary_key=12 partition_key=a1b2c3d4e5f6",
        "auth=kerberos user authenticated",
        "Basic authentication is enabled; bearer authentication is not",
        "Authorization: denied for user eve",
        "GET http://web:8080/users/a@b.example 200",
        "mail to eve@example.com via https://example.com/a",
        "git@github.com:org/repo.git",
        "compass: north; passed: 12; bypass=true",
        "password_reset=true passwords=3",
        "cookie: not set",
        "sk-learn and risk-adjusted task-based",
        "author=eve tokenizer=bpe secretary: eve01234567",
        "-----BEGIN CERTIFICATE-----",
        '{"level":"info","msg":"token refreshed","expires_in":3600}',
    ],
)
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


LEAKS = [
    ("DB_PASS=Blue-Whale-7 PATH=/bin", "Blue-Whale-7"),
    ("SECRET_KEY_BASE=95523cf6941fa1c257c6f561c5cb347611a3ce9d97dcbee500fe7ee5fc324bdb", "95523cf6941fa1c2"),
    ("+ curl -u mara:hunter22pw https://acme.test", "hunter22pw"),
    ("exec: mysql -uroot -pQ9xzzTop db", "Q9xzzTop"),
    ("sshpass -p 'Zebra#12' ssh host", "Zebra#12"),
    ("docker login -u mara -p Zebra#12xx registry.acme.test", "Zebra#12xx"),
    (
        '{"apiVersion":"v1","kind":"Secret","data":{"ledger.key":"VHIwdWI0ZG9yJjMtbGVkZ2Vy","username":"bWFyYQ=="}}',
        "VHIwdWI0ZG9y",
    ),
    ('{"kind":"Secret","stringData":{"pw":"Blue-Whale-7"}}', "Blue-Whale-7"),
    ("url=postgres://ledger:p@ss/w0rd@db.acme.test/ledger", "w0rd"),
    ("password: correct horse battery staple", "battery"),
    ('<add key="DbPassword" value="Blue-Whale-7"/>', "Blue-Whale-7"),
    ("The temporary password is Blue-Whale-7", "Blue-Whale-7"),
    ("export REDIS_PASS='Tiger.42!' && run", "Tiger.42"),
    ("db.pass=Tiger-42-x", "Tiger-42"),
    ('smtpPass: "Tiger.42"', "Tiger.42"),
    ("curl -s -X POST --user 'ana:Pass Word1' https://a.test", "Word1"),
    ("curl -uana:s3cr3t https://a.test", "s3cr3t"),
    ("wget --user=ana --password=Tiger42 https://a.test", "Tiger42"),
    ("mysqldump -h db -u root -pTiger#42 shop", "Tiger#42"),
    ("redis-cli -h r -a Tiger42x ping", "Tiger42x"),
    ("mongo db -u a -p Tiger42x", "Tiger42x"),
    ("helm registry login r.test -u a -p Tiger42x", "Tiger42x"),
    ("ldapsearch -x -D cn=a -w Tiger42x -b dc=b", "Tiger42x"),
    ("openssl rsa -in k.pem -passin pass:Tiger42x", "Tiger42x"),
    ("sshpass -pTiger42x ssh h", "Tiger42x"),
    ('{"kind": "Secret", "metadata": {"name": "x"}, "data": {"a": "VGlnZXI0Mg==", "b.c": "VGlnZXI="}}', "VGlnZXI"),
    ('{"log":"{\\"kind\\":\\"Secret\\",\\"stringData\\":{\\"pw\\":\\"Tiger42x\\"}}"}', "Tiger42x"),
    ("amqp://shop:a/b@c#d@mq.test:5672/v", "a/b@c"),
    ("https://9f86d081884c7d659a2feaa0c55ad015@sentry.test/7", "9f86d081884c7d65"),
    ("mongodb+srv://u:p%40ss:x@h.test/db", "p%40ss"),
    ("passphrase: purple monkey dishwasher seven", "monkey"),
    ("password: alpha bravo charlie for user eve", "charlie"),
    ('<property name="db.password" value="Tiger42x"/>', "Tiger42x"),
    ('- name: DB_PASSWORD value: "Tiger42x"', "Tiger42x"),
    ('{"env":[{"name":"API_TOKEN","value":"Tiger42x"}]}', "Tiger42x"),
    ("Your password is: Tiger42x", "Tiger42x"),
    ("password for root was reset to Tiger42x.", "Tiger42x"),
    ("the passcode is 493821", "493821"),
    ("OTP=493821 sent", "493821"),
    ("PRIVATE-TOKEN: abcDEF123456", "abcDEF123456"),
    ("https://discord.com/api/webhooks/123456789012345678/abcdefABCDEF0123456789-xyz", "abcdefABCDEF"),
    ("SECRET_KEY=django-insecure-abc123", "django-insecure"),
    ("stripe whsec_abcdefghijklmnopqrstuvwxyz123456", "abcdefghijkl"),
    ("-----BEGIN PGP PRIVATE KEY BLOCK-----\\nabc\\n-----END PGP PRIVATE KEY BLOCK-----", "nabc"),
    ("bot 123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1", "AAHdq"),
    ("X-Auth-Token: 9f86d081884c7d65", "9f86"),
    ("Authorization=Bearer abcdef123456", "abcdef123456"),
    ('"connectionString":"Server=db;Database=x;User ID=a;Password=Tiger42;"', "Tiger42"),
    ("jdbc:mysql://db/x?user=a&password=Tiger42", "Tiger42"),
    ("set-cookie: JSESSIONID=AB12CD34; Path=/", "AB12CD34"),
    ("RABBITMQ_DEFAULT_PASS=guest42", "guest42"),
    ("ANSIBLE_VAULT_PASSWORD: hunter2", "hunter2"),
    ('"db_pwd" : "x1y2"', "x1y2"),
    ('password => "Tiger42"', "Tiger42"),
    ('--db-password "Tiger 42"', "Tiger 42"),
    ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalr"),
    ('"client_secret" : "abc~DEF.123"', "abc~DEF"),
    ("PGPASSWORD=hunter2 psql", "hunter2"),
    ("sa_password='x y z1'", "z1"),
    ('token: "ghs_abcdefghijklmnopqrstuvwxyz0123456789"', "ghs_"),
    ("x-api-key=abc", "=abc"),
    ("POST https://hooks.slack.test/services/T00000000/B00000000/sDDDXh5Jmtf7EbsDe0G9Cryn", "sDDDXh5Jmtf7EbsDe0G9Cryn"),
]


@pytest.mark.parametrize(("line", "secret"), LEAKS)
def test_nothing_of_a_secret_survives(line: str, secret: str) -> None:
    hidden = hide(line)
    assert secret not in hidden
    assert "***" in hidden
    assert hide_all(["x", line]) == ["x", hidden]
    assert hide(hidden) == hidden, "hiding twice changes nothing more"


HARMLESS = [
    "PWD=/srv/ledger OLDPWD=/home/a",
    "docker run -p 8080:80 -u 1000 app",
    "curl -u https://a.test",
    "ssh -p 2222 host",
    "mysql --port 3306 -u root",
    "passed: 12 failed: 0 pass=12",
    "all tests pass: 42",
    "bypass=true compass: north",
    "Password is required",
    "The password is invalid",
    "password was changed by admin",
    "the password is too short",
    "token is expired",
    "secret: registry-credentials-v2 not found",
    "secret=orders-db-2 mounted",
    'MountVolume.SetUp failed for volume "tls": secret "shop-tls-2" not found',
    '{"kind":"ConfigMap","data":{"a":"b"}}',
    '{"kind":"SecretList","items":[]}',
    'name=timeout value="30s"',
    '{"name":"token_count","value":"12"}',
    "http://web:8080/users?mail=a@b.example",
    "GET http://10.0.0.1:9090/api/v1/query?u=a@b 200",
    "https://example.com/@user/status/1",
    "password: incorrect for user eve",
    "password: must not be empty",
    "kubectl get secret shop-db -o yaml",
    "key=user_profile_12 hit",
    "primary_key: 42",
    "otp sent to +49",
    "pwd: not set",
    "keyboard: us",
    "token bucket: 42 left",
    "author: eve password_reset=true",
    "auth: ok user=a",
    "primaryKey=abc123def",
    "storage_key=images/2026/a.png",
    "app key: orders",
    "login failed for user root -p",
    "podman login succeeded",
]


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
