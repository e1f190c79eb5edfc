"""Twelve incidents and six healthy logs, generated, of which the evidence was decided before `why` was run on them.

    generate(seed=0)  # name: (lines, the regular expressions that must be found; none where the log is healthy)

They are as unlike each other as may be: JSON, logfmt, syslog, Envoy, Postgres, Spring, etcd, and two that are no
services, a CI job and a batch job. Each has its usual noise: bots, retries, warnings that nobody reads, errors at an even
rate. A routine line is `weight | level | what wrote it | message`; `<…>` stands for a value, `⏎` for the end of a line.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

END = datetime(2025, 3, 12, 12, tzinfo=UTC)
Rng = random.Random
Log = tuple[list[str], list[str]]


class Event(NamedTuple):
    """A line that will be written."""

    time: datetime
    level: str
    origin: str
    message: str


class System:
    """What something writes in good health."""

    def __init__(self, write: Callable[[Event, Rng], str], hours: int, count: int, lines: str) -> None:
        self.write, self.hours, self.count = write, hours, count
        self.routine: list[tuple[float, tuple[str, str, str]]] = []
        self.once: list[tuple[str, str, str]] = []
        for line in lines.strip().splitlines():
            weight, level, origin, message = line.split(" | ", 3)
            said = (level, origin, message.replace("⏎", "\n"))
            if weight == "once":
                self.once.append(said)
            else:
                self.routine.append((float(weight), said))

    def at(self, part: float) -> datetime:
        """The time when a part of the log is over."""
        return END - timedelta(hours=self.hours) + timedelta(hours=self.hours * part)


# ── values ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def _hex(length: int) -> Callable[[Rng], str]:
    return lambda rng: "".join(rng.choice("0123456789abcdef") for _ in range(length))


def _one_of(words: str) -> Callable[[Rng], str]:
    return lambda rng: rng.choice(words.split())


AGENTS = [
    "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/124.0", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4) Safari/604.1",
    "curl/8.5.0", "Mozilla/5.0 (compatible; bingbot/2.0)", "kube-probe/1.29", "python-requests/2.31.0",
]  # fmt: skip
VALUES: dict[str, Callable[[Rng], str]] = {
    "n": lambda r: str(r.randint(1, 40)),
    "big": lambda r: str(r.randint(1000, 99999999)),
    "port": lambda r: str(r.randint(30000, 65000)),
    "id": lambda r: str(r.randint(10000, 99999)),
    "hex": _hex(8),
    "uuid": lambda r: f"{_hex(8)(r)}-{_hex(4)(r)}-4{_hex(3)(r)}-a{_hex(3)(r)}-{_hex(12)(r)}",
    "ip": lambda r: f"10.{r.randint(0, 3)}.{r.randint(0, 255)}.{r.randint(1, 254)}",
    "pub": lambda r: f"{r.randint(20, 220)}.{r.randint(0, 255)}.{r.randint(0, 255)}.{r.randint(1, 254)}",
    "ms": lambda r: str(max(1, int(r.lognormvariate(3, 0.6)))),
    "fms": lambda r: f"{r.lognormvariate(1.2, 0.6):.3f}",
    "pct": lambda r: str(r.randint(20, 75)),
    "user": lambda r: _one_of("alice bob carol dave erin frank grace heidi")(r) + str(r.randint(1, 999)),
    "bot": _one_of("admin oracle test ubuntu git guest pi deploy ftp"),
    "item": lambda r: f"SKU-{r.randint(100, 9999)}",
    "path": lambda r: r.choice(
        ["/api/orders", "/api/cart", f"/api/items/{r.randint(1, 999)}", "/", "/login",
         f"/static/app.{_hex(6)(r)}.js", f"/search?q={r.choice(['lamp', 'error', 'desk', 'sofa'])}"]
    ),
    "junk": _one_of("/wp-login.php /.env /phpmyadmin/ /cgi-bin/test /.git/config /favicon.ico /admin.php"),
    "ua": lambda r: r.choice(AGENTS),
    "table": _one_of("orders items users sessions audit_log"),
    "node": lambda r: f"node-{r.randint(1, 9)}",
    "kb": lambda r: str(r.randint(100, 90000)),
    "word": _one_of("alpha beta gamma delta omega sigma kappa theta"),
}  # fmt: skip


def fill(text: str, rng: Rng) -> str:
    """A message with values for what stands in `<…>`."""
    return re.sub(r"<(\w+)>", lambda m: VALUES[m[1]](rng) if m[1] in VALUES else m[0], text)


# ── formats ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def _iso(time: datetime, digits: int = 3) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.%f")[: 20 + digits] + "Z"


def _json(one: Event, rng: Rng) -> str:
    fields = {"timestamp": _iso(one.time), "level": one.level, "service": one.origin, "message": one.message}
    return json.dumps({**fields, "trace_id": _hex(16)(rng), "host": f"{one.origin}-{rng.randint(0, 2)}"})


def _pino(one: Event, rng: Rng) -> str:
    level = {"DEBUG": 20, "INFO": 30, "WARN": 40, "ERROR": 50}[one.level]
    said = json.loads(one.message) if one.message.startswith("{") else {"msg": one.message}
    fields = {"level": level, "time": int(one.time.timestamp() * 1000), "pid": 17, "hostname": "web-7d9f-x2k4p"}
    return json.dumps({**fields, "name": one.origin, **said}, separators=(",", ":"))


def _logfmt(one: Event, rng: Rng) -> str:
    if not one.level:
        return one.message
    return f"ts={_iso(one.time)} level={one.level.lower()} caller={one.origin} {one.message}"


def _syslog(one: Event, rng: Rng) -> str:
    return f"{one.time:%b} {one.time.day:2d} {one.time:%H:%M:%S} web-03 {one.origin}: {one.message}"


def _postgres(one: Event, rng: Rng) -> str:
    time = f"{one.time:%Y-%m-%d %H:%M:%S.%f}"[:-3]
    return f"{time} UTC [{rng.randint(200, 900)}] {one.origin} {one.level}:  {one.message}"


def _spring(one: Event, rng: Rng) -> str:
    thread = f"[nio-8080-exec-{rng.randint(1, 10)}]"
    return f"{_iso(one.time)} {one.level:>5} 1 --- {thread} {one.origin:<40} : {one.message}"


def _envoy(one: Event, rng: Rng) -> str:
    return f"[{_iso(one.time)}] {one.message}"


def _etcd(one: Event, rng: Rng) -> str:
    return f'{{"level":"{one.level.lower()}","ts":"{_iso(one.time, 6)}","caller":"{one.origin}",{one.message}}}'


# ── systems ─────────────────────────────────────────────────────────────────────────────────────────────────────────
ENVOY = System(
    _envoy,
    3,
    30_000,
    r"""
60 |  |  | "GET <path> HTTP/1.1" 200 - 0 <kb> <ms> <n> "<pub>" "<ua>" "<uuid>" "shop.example.com" "<ip>:8080"
10 |  |  | "POST /api/orders HTTP/2" 201 - <kb> 88 <ms> <n> "<pub>" "<ua>" "<uuid>" "shop.example.com" "<ip>:8080"
3 |  |  | "GET <junk> HTTP/1.1" 404 NR 0 0 0 - "<pub>" "<ua>" "<uuid>" "shop.example.com" "-"
1 |  |  | "GET <path> HTTP/1.1" 0 DC 0 0 <ms> - "<pub>" "<ua>" "<uuid>" "shop.example.com" "<ip>:8080"
0.3 |  |  | "GET <path> HTTP/1.1" 503 UC 0 95 <ms> - "<pub>" "<ua>" "<uuid>" "shop.example.com" "<ip>:8080"
""",
)
NODE = System(
    _pino,
    4,
    18_000,
    r"""
40 | INFO | web | {"req":{"id":<big>,"method":"GET","url":"<path>"},"res":{"statusCode":200},"responseTime":<ms>,"msg":"request completed"}
5 | INFO | web | {"req":{"id":<big>,"method":"GET","url":"<junk>"},"res":{"statusCode":404},"responseTime":<n>,"msg":"request completed"}
4 | DEBUG | geo | geocode cache hit for <user>
10 | INFO | geo | {"provider":"maps","status":200,"took":<ms>,"msg":"geocode ok"}
1 | WARN | web | (node:17) [DEP0005] DeprecationWarning: Buffer() is deprecated due to security and usability issues
0.4 | ERROR | web | {"err":{"type":"BadRequestError","message":"Unexpected token < in JSON at position 0","stack":"SyntaxError: Unexpected token <\n    at JSON.parse (<anonymous>)"},"msg":"invalid request body"}
0.5 | WARN | session | session store: retrying GET, attempt 1
once | INFO | web | server listening on 0.0.0.0:3000
once | INFO | web | SIGTERM received, draining 14 connections
once | INFO | web | graceful shutdown complete, no errors
""",
)
KERNEL = System(
    _syslog,
    72,
    4_000,
    r"""
10 |  | kernel | usb 1-1: new high-speed USB device number <n> using xhci_hcd
10 |  | kernel | docker0: port <n>(veth<hex>) entered forwarding state
10 |  | kernel | device veth<hex> left promiscuous mode
5 |  | kernel | audit: type=1400 audit(<big>.123:<n>): apparmor="DENIED" operation="open" profile="snap.firefox" name="/proc/<id>/stat" pid=<id>
10 |  | systemd[1] | Starting Daily apt download activities...
10 |  | systemd[1] | Finished Cleanup of Temporary Directories.
5 |  | systemd-resolved[611] | Server returned error NXDOMAIN, mitigating potential DNS violation DVE-2018-0001, retrying transaction with reduced feature level UDP.
3 |  | kernel | ACPI Error: No handler for Region [ECRM] (<hex>) [EmbeddedControl] (20210730/evregion-130)
2 |  | kernel | EXT4-fs (sdb1): mounted filesystem with ordered data mode. Opts: errors=remount-ro
2 |  | smartd[822] | Device: /dev/sda [SAT], SMART Usage Attribute: 194 Temperature_Celsius changed from <n> to <n>
""",
)
CRON = System(
    _syslog,
    96,
    6_000,
    r"""
20 |  | sshd[<id>] | Accepted publickey for deploy from <ip> port <port> ssh2: ED25519 SHA256:<hex>
20 |  | sshd[<id>] | pam_unix(sshd:session): session opened for user deploy(uid=1001) by (uid=0)
20 |  | sshd[<id>] | pam_unix(sshd:session): session closed for user deploy
10 |  | CRON[<id>] | (www-data) CMD (/usr/bin/php /srv/app/cron.php >/dev/null 2>&1)
5 |  | sshd[<id>] | error: kex_exchange_identification: Connection closed by remote host
5 |  | systemd[1] | Started Run anacron jobs.
2 |  | rsyslogd | [origin software="rsyslogd" swVersion="8.2112.0"] rsyslogd was HUPed
""",
)
SERVICE = System(
    _logfmt,
    6,
    20_000,
    r"""
20 | INFO | http/server.go:88 | msg="request done" method=GET path=<path> status=200 duration=<ms>ms
15 | INFO | db/query.go:41 | msg="query finished" table=<table> rows=<n> duration=<ms>ms
5 | DEBUG | cache/lru.go:19 | msg="cache miss" key=user:<big>
3 | INFO | http/server.go:88 | msg="request done" method=GET path=<junk> status=404 duration=<n>ms
1 | WARN | auth/jwt.go:77 | msg="token expired" user=<user>
0.5 | ERROR | push/apns.go:130 | msg="push failed" err="BadDeviceToken" device=<hex>
0.5 | INFO | metrics/push.go:20 | msg="metrics pushed" series=<id>
once | INFO | main.go:31 | msg="starting" version=v1.8.0 commit=9f3c2ab
once | WARN | config/load.go:52 | msg="LOG_FORMAT is deprecated, use LOG_ENCODING"
""",
)
AUDIT = System(
    _json,
    8,
    22_000,
    r"""
30 | INFO | apiserver | list pods namespace=shop user=system:serviceaccount:kube-system:hpa code=200
20 | INFO | apiserver | get leases/web namespace=shop user=system:node:<node> code=200
10 | INFO | deployer | reconciled application <word> revision <hex> in <ms>ms
5 | INFO | apiserver | watch configmaps namespace=shop user=system:serviceaccount:shop:web code=200 duration=<id>ms
3 | INFO | apiserver | get secrets/none namespace=default user=system:anonymous code=401 reason=Unauthorized
2 | WARN | deployer | application <word> out of sync, will refresh
1 | ERROR | deployer | webhook delivery to chat failed: 400 invalid_blocks
""",
)
ETCD = System(
    _etcd,
    10,
    9_000,
    r"""
10 | INFO | mvcc/index.go:214 | "msg":"compact tree index","revision":<big>
10 | INFO | mvcc/kvstore_compaction.go:66 | "msg":"finished scheduled compaction","compact-revision":<big>,"took":"<fms>ms"
14 | WARN | etcdserver/util.go:170 | "msg":"apply request took too long","took":"1<id>us","expected-duration":"100ms","prefix":"read-only range ","request":"key:\"/registry/pods/shop/\"","response":"range_response_count:<n> size:<kb>"
10 | INFO | etcdhttp/metrics.go:79 | "msg":"/health OK","status-code":200
2 | WARN | embed/config_logging.go:169 | "msg":"rejected connection","remote-addr":"<ip>:<port>","server-name":"","error":"EOF"
1 | INFO | etcdserver/server.go:2344 | "msg":"saved snapshot","snapshot-index":<big>
""",
)
POSTGRES = System(
    _postgres,
    12,
    9_000,
    r"""
20 | LOG | app@shop | duration: <fms> ms  statement: SELECT * FROM <table> WHERE id = <big>
6 | LOG | [unknown]@[unknown] | connection received: host=<ip> port=<port>
6 | LOG | app@shop | connection authorized: user=app database=shop SSL enabled
6 | LOG | app@shop | disconnection: session time: 0:00:<n>.512 user=app database=shop host=<ip> port=<port>
1 | LOG | @ | checkpoint starting: time
1 | LOG | @ | checkpoint complete: wrote <id> buffers (0.4%); 0 WAL file(s) added, 0 removed, 1 recycled; write=<fms> s, sync=0.004 s
1 | LOG | @ | automatic vacuum of table "shop.public.<table>": index scans: 1
0.8 | ERROR | app@shop | duplicate key value violates unique constraint "users_email_key"⏎	DETAIL:  Key (email)=(<user>@example.com) already exists.
0.3 | FATAL | bot@postgres | password authentication failed for user "<bot>"
0.3 | WARNING | app@shop | there is already a transaction in progress
0.2 | LOG | app@shop | could not receive data from client: Connection reset by peer
once | LOG | @ | received SIGHUP, reloading configuration files
once | LOG | @ | parameter "log_min_duration_statement" changed to "100"
""",
)
EDGE = System(
    _json,
    3,
    60_000,
    r"""
50 | INFO | edge | GET <path> status=200 bytes=<kb> took=<ms>ms
10 | INFO | edge | POST /api/orders status=201 bytes=<n> took=<ms>ms
5 | INFO | edge | GET <junk> status=404 bytes=0 took=<n>ms
5 | INFO | edge | GET <path> status=302 bytes=0 took=<n>ms
1 | INFO | edge | POST /login status=401 bytes=<n> took=<ms>ms
""",
)
SHOP = System(
    _spring,
    2,
    40_000,
    r"""
20 | INFO | com.acme.gateway.Router | Routed <path> to catalog in <ms> ms
20 | INFO | com.acme.catalog.Lookup | Found <n> products for query <word>
5 | INFO | com.acme.basket.Store | Saved basket <uuid>
2 | WARN | com.acme.gateway.Limits | Client <ip> is near its quota (<pct>%)
1 | DEBUG | com.acme.catalog.Lookup | No error in cache for <item>
0.4 | ERROR | com.acme.basket.Store | Basket <uuid> not found
""",
)


# ── incidents ───────────────────────────────────────────────────────────────────────────────────────────────────────
def _later(time: datetime, seconds: float) -> datetime:
    return time + timedelta(seconds=seconds)


def _event(time: datetime, line: str) -> Event:
    """An event of `level | what wrote it | message`."""
    level, origin, message = line.split(" | ", 2)
    return Event(time, level, origin, message.replace("⏎", "\n"))


def _many(rng: Rng, begin: datetime, end: datetime, count: int, *lines: str) -> list[Event]:
    span = (end - begin).total_seconds()
    return [_event(_later(begin, rng.uniform(0, span)), rng.choice(lines)) for _ in range(count)]


def _no_upstream(rng: Rng) -> list[Event]:
    begin = ENVOY.at(0.7)
    return _many(
        rng, begin, _later(begin, 240), 260,
        ' |  | "POST /api/pay HTTP/2" 503 UH 0 19 0 - "<pub>" "<ua>" "<uuid>" "shop.example.com" "-"',
        ' |  | "POST /api/pay HTTP/2" 503 UF,URX 0 91 <ms> - "<pub>" "<ua>" "<uuid>" "shop.example.com" "<ip>:8443"',
    )  # fmt: skip


def _rate_limited(rng: Rng) -> list[Event]:
    begin = NODE.at(0.5)
    refused = '"msg":"geocode refused: Too Many Requests, daily quota exceeded"'
    delivery = '{"req":{"id":<big>,"method":"POST","url":"/api/delivery"},'
    return _many(
        rng, begin, NODE.at(1), 600, f'WARN | geo | {{"provider":"maps","status":429,"took":<n>,{refused}}}'
    ) + _many(
        rng, _later(begin, 3), NODE.at(1), 3000,
        f'ERROR | web | {delivery}"err":{{"type":"Error","message":"no coordinates for address"}},'
        '"msg":"delivery estimate failed"}',
        f'ERROR | web | {delivery}"res":{{"statusCode":500}},"msg":"request errored"}}',
    )  # fmt: skip


def _disk_dying(rng: Rng) -> list[Event]:
    begin = KERNEL.at(0.66)
    sectors = [rng.randint(10**6, 10**8) for _ in range(12)]
    lost = "Buffer I/O error on dev nvme0n1p2, logical block 88211, lost async page write"
    aborted = "EXT4-fs error (device nvme0n1p2): ext4_journal_check_start:83: Detected aborted journal"
    return [
        _event(begin, " | kernel | nvme nvme0: I/O 512 QID 4 timeout, aborting"),
        *(
            _event(
                _later(begin, 30 + i),
                f" | kernel | blk_update_request: I/O error, dev nvme0n1, sector {sector} op 0x1:(WRITE) flags 0x800 "
                "phys_seg 1 prio class 0",
            )
            for i, sector in enumerate(sectors)
        ),
        _event(_later(begin, 45), f" | kernel | {lost}"),
        _event(_later(begin, 46), f" | kernel | {aborted}"),
        _event(_later(begin, 46.1), " | kernel | EXT4-fs (nvme0n1p2): Remounting filesystem read-only"),
    ]


def _cron_stopped(rng: Rng) -> list[Event]:
    found: list[Event] = []
    for part in ((i + 0.5) / 384 for i in range(192)):
        found.append(_event(CRON.at(part), " | CRON[<id>] | (root) CMD (/usr/local/bin/backup.sh)"))
        uploaded = "snapshot <hex> uploaded, <kb> kB in <n> s"
        found.append(_event(_later(CRON.at(part), 41), f" | backup[<id>] | {uploaded}"))
    stop = CRON.at(0.5)
    found.append(_event(_later(stop, 9), " | crontab[<id>] | (root) REPLACE (root)"))
    return [*found, _event(_later(stop, 20), " | cron[590] | (root) RELOAD (crontabs/root)")]


def _panic(rng: Rng) -> list[Event]:
    begin = SERVICE.at(0.77)
    dump = (
        "fatal error: concurrent map writes⏎⏎goroutine 8123 [running]:⏎runtime.throw({0x1a2b3c, 0x15})⏎"
        "\t/usr/local/go/src/runtime/panic.go:1077 +0x5c fp=0xc000a1 sp=0xc000a0⏎main.(*Registry).Put(...)⏎"
        "\t/src/registry.go:41⏎"
    )
    for i in range(100, 160):
        dump += (
            f"⏎goroutine {i} [IO wait]:⏎internal/poll.runtime_pollWait(0x7f{i:06x}, 0x72)⏎"
            f"\t/usr/local/go/src/runtime/netpoll.go:343 +0x85⏎net/http.(*conn).serve(0xc000{i:04x})⏎"
            "\t/usr/local/go/src/net/http/server.go:1900"
        )
    again = 'INFO | main.go:31 | msg="starting" version=v1.8.0 commit=9f3c2ab'
    return [_event(_later(begin, 0.001), f" |  | {dump}⏎exit status 2"), _event(_later(begin, 8.1), again)]


def _forbidden(rng: Rng) -> list[Event]:
    begin = AUDIT.at(0.4)
    removed = "INFO | apiserver | delete rolebindings/deployer namespace=shop user=erin code=200"
    return [
        _event(_later(begin, -30), removed),
        *_many(
            rng, begin, AUDIT.at(1), 130,
            "INFO | apiserver | patch deployments/<word> namespace=shop user=system:serviceaccount:ci:deployer code=403 "
            'reason=Forbidden: cannot patch resource "deployments"',
        ),
    ]  # fmt: skip


def _clock_skew(rng: Rng) -> list[Event]:
    begin = ETCD.at(0.5)
    peer = '"round-tripper-name":"ROUND_TRIPPER_SNAPSHOT","remote-peer-id":"8e9e05c52164694d"'
    return [
        _event(
            _later(begin, 30 * i),
            f'WARN | rafthttp/probing_status.go:82 | "msg":"prober found high clock drift",{peer},'
            f'"clock-drift":"{2 + i * 0.05:.3f}s","rtt":"312us"',
        )
        for i in range(60)
    ] + _many(
        rng, _later(begin, 200), ETCD.at(1), 40,
        'WARN | etcdserver/v3_server.go:897 | "msg":"waiting for ReadIndex response took too long, retrying",'
        '"sent-request-id":<big>,"retry-timeout":"500ms"',
    )  # fmt: skip


def _deadlock(rng: Rng) -> list[Event]:
    begin, end = POSTGRES.at(0.6), POSTGRES.at(0.75)
    return _many(
        rng, begin, end, 26,
        "ERROR | app@shop | deadlock detected⏎"
        "\tDETAIL:  Process 412 waits for ShareLock on transaction <big>; blocked by process 431.⏎"
        "\tProcess 431 waits for ShareLock on transaction <big>; blocked by process 412.⏎"
        "\tHINT:  See server log for query details.⏎"
        '\tCONTEXT:  while updating tuple (<n>,<n>) in relation "orders"⏎'
        "\tSTATEMENT:  UPDATE orders SET state = 'paid' WHERE id = <big>",
    ) + _many(
        rng, begin, end, 200,
        "LOG | app@shop | process <id> still waiting for ShareLock on transaction <big> after 1000.123 ms",
        "ERROR | app@shop | canceling statement due to statement timeout",
    )  # fmt: skip


def _needle(rng: Rng) -> list[Event]:
    return [_event(EDGE.at(0.38), "INFO | edge | GET /api/items/77 status=500 bytes=21 took=30001ms")]


def _unknown_host(rng: Rng) -> list[Event]:
    begin = SHOP.at(0.5)
    host = "catalog-db.prod.svc.cluster.local: Name or service not known"
    failed = f"ERROR | com.acme.catalog.Lookup | Query failed: java.net.UnknownHostException: {host}"
    return [_event(_later(begin, 400 * i), failed) for i in range(3)] + _many(
        rng, _later(begin, 1), SHOP.at(1), 9000,
        "ERROR | com.acme.gateway.Router | Upstream catalog answered 500 for <path>",
        "ERROR | com.acme.basket.Store | Cannot refresh basket <uuid>: catalog unavailable⏎"
        "com.acme.basket.CatalogException: catalog unavailable⏎"
        "\tat com.acme.basket.Store.refresh(Store.java:88)⏎\tat com.acme.basket.Store.open(Store.java:41)",
        "WARN | com.acme.gateway.Router | Fallback page served for <path>",
    )  # fmt: skip


def _ci_job(rng: Rng, broken: bool) -> list[str]:
    """What a CI job prints: no times, no levels, and words such as `error` in names."""
    lines = ["$ make -C build all", "gcc -O2 -Wall -Werror -c src/error.c -o build/error.o"]
    for i in range(60):
        lines += [f"gcc -O2 -Wall -Werror -c src/{w}_{i}.c -o build/{w}_{i}.o" for w in ("alpha", "beta", "errors")]
    tests = [("api", "error"), ("cli", "failure"), ("db", "timeout"), ("ui", "click")]
    lines += [f"  PASS tests/test_{w}_{i}.py::test_handles_{kind}" for i in range(50) for w, kind in tests]
    lines += ["203 passed, 0 failed, 0 errors in 41.20s", "warning: unused variable 'tmp' [-Wunused-variable]"]
    lines += ["$ terraform apply -auto-approve"]
    lines += ["Terraform used the selected providers to generate the following execution plan."]
    lines += [f'  + resource "aws_instance" "worker_{i}" {{ ami = "ami-{_hex(8)(rng)}" }}' for i in range(40)]
    lines += ["Plan: 40 to add, 0 to change, 0 to destroy."]
    for i in range(32 if broken else 40):
        name = f"aws_instance.worker_{i}"
        lines += [f"{name}: Creating...", *(f"{name}: Still creating... [{k}0s elapsed]" for k in (1, 2, 3))]
        lines += [f"{name}: Creation complete after 3{rng.randint(0, 9)}s [id=i-{_hex(8)(rng)}]"]
    cleaning = "Cleaning up project directory and file based variables"
    if not broken:
        return [*lines, "Apply complete! Resources: 40 added, 0 changed, 0 destroyed.", cleaning, "Job succeeded"]
    limit = "You have requested more vCPU capacity than your current vCPU limit of 256 allows"
    lines += ["╷", f"│ Error: creating EC2 Instance: VcpuLimitExceeded: {limit}", "│ "]
    lines += [
        "│   with aws_instance.worker_32,",
        '│   on main.tf line 18, in resource "aws_instance" "worker_32":',
        "╵",
    ]
    lines += ["Releasing state lock. This may take a few moments...", cleaning, "ERROR: Job failed: exit code 1"]
    return lines


def _batch_job(rng: Rng, broken: bool) -> list[str]:
    """What a batch job prints: sentences."""
    lines = ["Nightly load of customer file", "Input: customers_20250311.csv (91,422 rows)"]
    for i in range(1, 3000):
        bad = broken and i > 1700
        lines.append(f"Read rows {i * 30 - 29} to {i * 30}, wrote {0 if bad else 30}")
        if i % 37 == 0:
            lines.append(f"Row {i * 30 - 3}: phone number has no country, kept as it is")
        if i % 211 == 0:
            lines.append(f"Row {i * 30 - 7}: skipped, empty name")
        if i % 500 == 0:
            lines.append(f"Committed {i * 30} rows")
        if broken and i == 1700:
            lines.append("Column 14 is called 'birth_dt' but 'birth_date' was expected; using blank")
        if bad and i % 3 == 0:
            lines.append(f"Row {i * 30 - 2}: value does not fit column, row rejected")
    written, left = (51000, 39000) if broken else (89987, 13)
    return [*lines, f"Done: 90000 rows read, {written} written, {left} left out"]


INCIDENTS: dict[str, tuple[System, Callable[[Rng], list[Event]] | None, list[str]]] = {
    "b01_envoy_no_upstream": (ENVOY, _no_upstream, ["503 (UH|UF)"]),
    "b02_rate_limited": (NODE, _rate_limited, ["429|Too Many Requests"]),
    "b03_disk_dying": (KERNEL, _disk_dying, ["I/O error", "(?i)remounting filesystem read-only"]),
    "b04_cron_stopped": (CRON, _cron_stopped, [r"REPLACE \(root\)|backup"]),
    "b06_go_panic": (SERVICE, _panic, ["concurrent map writes"]),
    "b07_rbac_denied": (AUDIT, _forbidden, ["(?i)forbidden|cannot patch"]),
    "b08_clock_skew": (ETCD, _clock_skew, ["clock drift|clock difference"]),
    "b09_deadlock": (POSTGRES, _deadlock, ["deadlock detected"]),
    "b10_needle_500": (EDGE, _needle, ["status=500"]),
    "b12_dns_cascade": (SHOP, _unknown_host, ["UnknownHostException|Name or service not known"]),
    "b20_envoy": (ENVOY, None, []),
    "b21_node": (NODE, None, []),
    "b23_etcd": (ETCD, None, []),
    "b25_dmesg": (KERNEL, None, []),
}
JOBS: dict[str, tuple[Callable[[Rng, bool], list[str]], list[str]]] = {
    "b05_quota_ci": (_ci_job, ["VcpuLimitExceeded"]),
    "b11_batch_rejects": (_batch_job, ["birth_dt", "row rejected|wrote 0"]),
    "b22_ci": (_ci_job, []),
    "b24_batch": (_batch_job, []),
}


def generate(seed: int = 0) -> dict[str, Log]:
    """All logs by name, each with the regular expressions of its evidence; with none, nothing must be found."""
    found: dict[str, Log] = {}
    for name, (system, incident, evidence) in INCIDENTS.items():
        found[name] = _written(system, incident, Rng(f"{seed}/{name}")), evidence
    for name, (job, evidence) in JOBS.items():
        found[name] = job(Rng(f"{seed}/{name}"), bool(evidence)), evidence
    return found


def _written(system: System, incident: Callable[[Rng], list[Event]] | None, rng: Rng) -> list[str]:
    blocks = system.hours * 12  # traffic changes every five minutes
    traffic = [rng.lognormvariate(0, 0.25) for _ in range(blocks)]
    places = sorted(block + rng.random() for block in rng.choices(range(blocks), traffic, k=system.count))
    weights, lines = zip(*system.routine, strict=True)
    said = rng.choices(lines, weights, k=system.count)
    events = [Event(system.at(place / blocks), *line) for place, line in zip(places, said, strict=True)]
    events += [Event(system.at(rng.random()), *line) for line in system.once]
    if incident is not None:
        events += incident(rng)
    events.sort(key=lambda one: one.time)
    filled = (one._replace(origin=fill(one.origin, rng), message=fill(one.message, rng)) for one in events)
    return [line for one in filled for line in system.write(one, rng).split("\n")]
