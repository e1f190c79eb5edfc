# ruff: noqa: E501 - lines of logs are as long as they are
"""What real programs write, each with the records that it is: the next format is one row.

A row is a name, the lines, and for each record what is to be found: message, level, service, time, and how many lines
belong to it besides. Names are invented.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Found:
    """A record as it should be read; of `time` (UTC) as much as is given."""

    message: str
    level: str | None = None
    service: str | None = None
    time: str | None = None
    joined: int = 0
    status: int | None = None


EVENT = (
    "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='{}'/><EventID>{}"
    "</EventID><Level>{}</Level><TimeCreated SystemTime='2026-04-05T11:03:20.1234567Z'/></System>{}</Event>"
)

CASES: dict[str, tuple[str, list[Found]]] = {
    # ── containers ──────────────────────────────────────────────────────────────────────────────────────────────────
    "CRI, parts of two streams between each other": (
        '2026-04-05T11:00:00.1Z stdout P {"level":"error",\n'
        "2026-04-05T11:00:00.2Z stderr P WARN cut in \n"
        '2026-04-05T11:00:00.3Z stdout P "msg":"pool \n'
        "2026-04-05T11:00:00.4Z stderr F two\n"
        '2026-04-05T11:00:00.5Z stdout F empty"}\n'
        "2026-04-05T11:00:01.5Z stdout F \n"
        "2026-04-05T11:00:02.5Z stdout P INFO no end",
        [
            Found("pool empty", "error", time="2026-04-05T11:00:00.1", joined=2),
            Found("cut in two", "warn", time="2026-04-05T11:00:00.2", joined=1),
            Found("no end", "info", time="2026-04-05T11:00:02"),
        ],
    ),
    "CRI, a trace on standard error between lines of standard output": (
        "2026-04-05T11:00:00.1Z stderr F java.lang.IllegalStateException: no price\n"
        "2026-04-05T11:00:00.2Z stdout F INFO posted 1\n"
        "2026-04-05T11:00:00.3Z stderr F \tat com.acme.Cart.price(Cart.java:4)\n"
        "2026-04-05T11:00:00.4Z stdout F INFO posted 2",
        [
            Found("java.lang.IllegalStateException: no price", time="2026-04-05T11:00:00.1", joined=1),
            Found("posted 1", "info"), Found("posted 2", "info"),
        ],
    ),
    "Docker's json-file, colours and a split line": (
        '{"log":"\\u001b[33m WARN\\u001b[0m 1 --- [http-1] c.a.Stock : low\\n","stream":"stdout","time":"2026-04-05T11:00:00Z"}\n'
        '{"log":"{\\"level\\":\\"error\\",\\"msg\\":\\"pool ","stream":"stdout","time":"2026-04-05T11:00:01Z"}\n'
        '{"log":"empty\\"}\\n","stream":"stdout","time":"2026-04-05T11:00:01Z"}\n'
        '{"stream":"stderr","log":"Traceback (most recent call last):\\n","time":"2026-04-05T11:00:02Z"}\n'
        '{"log":"INFO ok\\n","stream":"stdout","time":"2026-04-05T11:00:02Z"}\n'
        '{"log":"  File \\"a.py\\", line 3, in f\\n","stream":"stderr","time":"2026-04-05T11:00:02Z"}\n'
        '{"log":"KeyError: 7\\n","stream":"stderr","time":"2026-04-05T11:00:02Z"}',
        [
            Found("low", "warn", "c.a.Stock", "2026-04-05T11:00:00"), Found("pool empty", "error", joined=1),
            Found("Traceback (most recent call last):", joined=2), Found("ok", "info"),
        ],
    ),
    "kubectl --prefix, three pods": (
        "[pod/cart-1/cart] ERROR could not price\n[pod/bank-1/bank] ERROR could not post\n"
        "[pod/shop-1/shop] INFO ok\n[pod/cart-1/cart] Traceback (most recent call last):\n"
        "[pod/bank-1/bank] panic: runtime error: index out of range\n"
        '[pod/cart-1/cart]   File "a.py", line 3, in f\n[pod/bank-1/bank] goroutine 1 [running]:\n'
        "[pod/cart-1/cart] ValueError: price\n[pod/bank-1/bank] main.post(0x1)",
        [
            Found("could not price", "error", "cart", joined=3), Found("could not post", "error", "bank"),
            Found("ok", "info", "shop"), Found("panic: runtime error: index out of range", "fatal", "bank", joined=2),
        ],
    ),
    "stern": (
        'cart-7c9d8f-x2x4z cart {"level":"warn","time":"2026-04-05T11:00:00Z","msg":"slow"}\n'
        "db-0 postgres 2026-04-05 11:00:01.123 UTC [7] FATAL:  out of memory\n"
        "cart-7c9d8f-x2x4z cart plain words",
        [
            Found("slow", "warn", "cart", "2026-04-05T11:00:00"),
            Found("out of memory", "fatal", "postgres", "2026-04-05T11:00:01"),
            Found("plain words", None, "cart"),
        ],
    ),
    "compose": (
        'shop_web_1  | {"level":"error","msg":"no"}\ndb-1        | 2026-04-05T11:00:01Z LOG:  ready\n'
        "db-1        | \nINFO     | not compose\nstatus|ok",
        [
            Found("no", "error", "shop_web_1"), Found("ready", "info", "db-1", "2026-04-05T11:00:01"),
            Found("not compose", "info"), Found("status|ok"),
        ],
    ),
    # ── exceptions ──────────────────────────────────────────────────────────────────────────────────────────────────
    "Python, chained": (
        "2026-04-05 11:00:00,123 ERROR failed\nTraceback (most recent call last):\n  File 'a'\nKeyError: 1\n\n"
        "The above exception was the direct cause of the following exception:\n\nTraceback (most recent call last):\n"
        "  File 'b'\nshop.errors.Lost: it\n2026-04-05 11:00:01,123 INFO next",
        [Found("failed", "error", joined=7), Found("next", "info")],
    ),
    ".NET": (
        "[11:00:00 ERR] Could not bill\nSystem.InvalidOperationException: empty\n ---> System.IO.IOException: gone\n"
        "   at Acme.A.Load() in /src/A.cs:line 31\n   --- End of inner exception stack trace ---\n"
        "--- End of stack trace from previous location ---\n   at Acme.B.Run()\n[11:00:01 INF] ok",
        [Found("Could not bill", "error", joined=6), Found("ok", "info")],
    ),
    "Node, not caught": (
        "/app/server.js:12\n    throw new Error('boom');\n    ^\n\nError: boom\n    at f (/app/server.js:12:9)\n"
        "    at node:internal/main/run_main_module:22:47 {\n  code: 'E1'\n}\n\nNode.js v20.1.0\nserver starts",
        [Found("/app/server.js:12", joined=8), Found("server starts")],
    ),
    "Node, logged": (
        "TypeError: Cannot read properties of undefined (reading 'id')\n    at total (/app/cart.js:4:1)\n"
        "    at async Promise.all (index 0)\nGET /cart 500",
        [Found("TypeError: Cannot read properties of undefined (reading 'id')", joined=2), Found("GET /cart 500")],
    ),
    "Ruby, not caught": (
        "app.rb:3:in `total': no price (ArgumentError)\n\tfrom app.rb:9:in `<main>'\ndone",
        [Found("app.rb:3:in `total': no price (ArgumentError)", joined=1), Found("done")],
    ),
    "Ruby's logger with a name": (
        "E, [2026-04-05T11:00:00.5 #7] ERROR -- shop: [ab12] Lost (no row):\n[ab12]   \n"
        "[ab12] app/a.rb:40:in `total'\n[ab12] app/b.rb:2:in 'Shop#run'\nD, [2026-04-05T11:00:01 #7] DEBUG -- : ok",
        [
            Found("[ab12] Lost (no row):", "error", "shop", "2026-04-05T11:00:00.5", joined=3),
            Found("ok", "debug", None, "2026-04-05T11:00:01"),
        ],
    ),
    "PHP": (
        "[05-Apr-2026 11:00:00 Europe/Berlin] PHP Warning:  Undefined variable $x in /a.php on line 4\n"
        "[05-Apr-2026 11:00:01 UTC] PHP Fatal error:  Uncaught TypeError: no in /a.php:12\nStack trace:\n"
        "#0 /a.php(12): f()\n#1 {main}\n  thrown in /a.php on line 12\nPHP Deprecated:  old in /b.php on line 1",
        [
            Found("PHP Warning:  Undefined variable $x in /a.php on line 4", "warn", time="2026-04-05T11:00:00"),
            Found("PHP Fatal error:  Uncaught TypeError: no in /a.php:12", "fatal", None, "2026-04-05T11:00:01", 4),
            Found("PHP Deprecated:  old in /b.php on line 1", "info"),
        ],
    ),
    "Laravel": (
        '[2026-04-05 11:00:00] production.ERROR: no row {"exception":"[object] (X)\n[stacktrace]\n#0 /a.php(3): f()\n'
        "#1 {main}\n[2026-04-05 11:00:01] production.INFO: ok",
        [
            Found('no row {"exception":"[object] (X)', "error", "production", "2026-04-05T11:00:00", 3),
            Found("ok", "info", "production"),
        ],
    ),
    "Go, a signal": (
        "2026/04/05 11:00:00 GET /a 200\npanic: runtime error: invalid memory address or nil pointer dereference\n"
        "[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x4a]\n\ngoroutine 1 [running]:\n"
        "main.(*Cart).Price(...)\n\t/src/cart.go:8\nmain.main()\n\t/src/main.go:5 +0x1d\nexit status 2\n"
        "2026/04/05 11:00:02 GET /b 200",
        [
            Found("GET /a 200", time="2026-04-05T11:00:00"),
            Found("panic: runtime error: invalid memory address or nil pointer dereference", "fatal", joined=7),
            Found("GET /b 200"),
        ],
    ),
    "Go, fatal error": (
        "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive]:\nmain.main()\n"
        "\t/src/main.go:5 +0x1d\n\ngoroutine 7 [select (no cases)]:\ncreated by main.main in goroutine 1\nok",
        [Found("fatal error: all goroutines are asleep - deadlock!", "fatal", joined=5), Found("ok")],
    ),
    "Rust": (
        "thread 'main' panicked at src/main.rs:4:5:\nindex out of bounds: the len is 3 but the index is 3\n"
        "stack backtrace:\n   0: rust_begin_unwind\n             at /rustc/std/panicking.rs:597:5\n"
        "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\nready",
        [Found("thread 'main' panicked at src/main.rs:4:5:", "fatal", joined=5), Found("ready")],
    ),
    "Node, a promise that nobody waited for": (
        "node:internal/process/promises:288\n            triggerUncaughtException(err, true);\n            ^\n\n"
        "[UnhandledPromiseRejection: This error] {\n  code: 'ERR'\n}\n\nNode.js v18.1.0\nnext",
        [Found("node:internal/process/promises:288", joined=6), Found("next")],
    ),
    ".NET, not caught": (
        "Unhandled exception. System.InvalidOperationException: x\n   at A.B() in /a.cs:line 3\n"
        " --- End of inner exception stack trace ---\n   at A.C()\nnext",
        [Found("Unhandled exception. System.InvalidOperationException: x", joined=3), Found("next")],
    ),
    # ── formats ─────────────────────────────────────────────────────────────────────────────────────────────────────
    "journald's JSON": (
        '{"__REALTIME_TIMESTAMP":"1775386800123456","PRIORITY":"4","SYSLOG_IDENTIFIER":"cron","MESSAGE":"late"}\n'
        '{"__REALTIME_TIMESTAMP":"1775386801000000","PRIORITY":"3","_COMM":"sh","MESSAGE":[110,111,32,115,112,97,99,101]}',
        [Found("late", "warn", "cron", "2026-04-05T11:00:00.123456"), Found("no space", "error", "sh")],
    ),
    "journald's export": (
        "__CURSOR=s=1\n__REALTIME_TIMESTAMP=1775386800123456\nPRIORITY=3\nSYSLOG_IDENTIFIER=cron\nMESSAGE=no disk\n\n"
        "__CURSOR=s=2\n__REALTIME_TIMESTAMP=1775386801123456\nPRIORITY=6\nMESSAGE=ok\n_PID=1\n",
        [
            Found("no disk", "error", "cron", "2026-04-05T11:00:00.123456", 4),
            Found("ok", "info", None, "2026-04-05T11:00:01.123456", 4),
        ],
    ),
    "Windows events": (
        EVENT.format("disk", 7, 2, "<EventData><Data Name='Device'>\\Disk1</Data></EventData>") + "\n"
        + EVENT.format("Kernel &amp; Power", 41, 1, "<RenderingInfo><Message>It &lt;rebooted&gt;</Message></RenderingInfo>")
        .replace("><System>", ">\n<System>").replace("</System>", "\n</System>"),
        [
            Found("Device=\\Disk1", "error", "disk", "2026-04-05T11:03:20"),
            Found("It <rebooted>", "fatal", "Kernel & Power", "2026-04-05T11:03:20", 2),
        ],
    ),
    "W3C with a date of its own, and other columns after a restart": (
        "#Version: 1.0\n#Date: 2026-04-05 11:00:00\n#Fields: time c-ip cs-method cs-uri-stem sc-status\n"
        "11:00:05 10.0.0.1 GET /a 503\n#Fields: date time sc-status cs-method cs-uri-stem time-taken\n"
        "2026-04-05 11:00:06 200 POST /b 12",
        [
            Found("#Version: 1.0"), Found("#Date: 2026-04-05 11:00:00"),
            Found("#Fields: time c-ip cs-method cs-uri-stem sc-status"),
            Found("GET /a 503", time="2026-04-05T11:00:05", status=503),
            Found("#Fields: date time sc-status cs-method cs-uri-stem time-taken"),
            Found("POST /b 200", time="2026-04-05T11:00:06", status=200),
        ],
    ),
    "AWS's balancers": (
        "https 2026-04-05T11:00:00.123456Z app/shop/50dc6c49 10.0.0.1:2817 10.0.0.2:80 0.001 0.100 0.000 502 502 34 366 "
        '"GET https://shop.example.test:443/cart?x=1 HTTP/1.1" "curl/7" - - arn:aws:x "Root=1-5"\n'
        '2026-04-05T11:00:01.1Z shop 10.0.0.1:2817 - -1 -1 -1 504 0 0 0 "POST http://shop.example.test:80/pay HTTP/1.1"',
        [
            Found("GET /cart 502", None, "shop", "2026-04-05T11:00:00.123456", status=502),
            Found("POST /pay HTTP/1.1 504", None, "shop", status=504),
        ],
    ),
    "HAProxy": (
        "Apr  5 11:00:00 lb haproxy[14389]: 10.0.1.2:33317 [05/Apr/2026:11:00:00.655] http-in shop/web1 10/0/30/69/109 503 "
        '2750 - - ---- 1/1/1/1/0 0/0 {shop.example.test} {} "GET /cart HTTP/1.1"\n'
        '10.0.1.2:33317 [05/Apr/2026:11:00:01.655] http-in shop/<NOSRV> 0/-1/-1/-1/0 200 7 - - SC-- 1/1/0/0/0 0/0 "GET /a HTTP/1.1"',
        [
            Found("GET /cart HTTP/1.1 503", None, "shop", status=503),
            Found("GET /a HTTP/1.1 200", None, "shop", "2026-04-05T11:00:01", status=200),
        ],
    ),
    "Apache 2.4": (
        "[Sun Apr 05 11:00:00.123456 2026] [core:crit] [pid 71:tid 139] (28)No space left on device: AH00023: mutex\n"
        "[Sun Apr 05 11:00:01.123456 2026] [:error] [pid 71] [client 10.0.0.1:5] AH01: script not found",
        [
            Found("(28)No space left on device: AH00023: mutex", "fatal", "core", "2026-04-05T11:00:00"),
            Found("AH01: script not found", "error", None, "2026-04-05T11:00:01"),
        ],
    ),
    "nginx": (
        "2026/04/05 11:00:00 [crit] 12#12: *5 connect() to 10.0.0.1:80 failed\n2026/04/05 11:00:01 [notice] 1#1: start",
        [
            Found("connect() to 10.0.0.1:80 failed", "fatal", time="2026-04-05T11:00:00"),
            Found("start", "info", time="2026-04-05T11:00:01"),
        ],
    ),
    "Serilog": (
        "2026-04-05 11:00:00.123 -07:00 [FTL] gone\n2026-04-05 11:00:01.123 -03 [VRB] tiny\n[11:00:02 WRN] slow",
        [
            Found("gone", "fatal", time="2026-04-05T18:00:00.123"), Found("tiny", "trace", time="2026-04-05T14:00:01.123"),
            Found("slow", "warn"),
        ],
    ),
    "logback without a configuration": (
        "11:00:00.858 [main] WARN  c.a.Pool -- nearly full\n11:00:01.001 [http-1] ERROR c.a.Pool - full",
        [Found("nearly full", "warn", "c.a.Pool"), Found("full", "error", "c.a.Pool")],
    ),
    ".NET's console": (
        "warn: Acme.Shop.Cart[12]\n      It is slow\n      and late\n"
        "crit: Acme.Shop.Cart[0]\n      Gone\n      System.IO.IOException: disk\n         at Acme.A.B()\ninfo: Acme.One[3] single line",
        [
            Found("It is slow and late", "warn", "Acme.Shop.Cart", joined=2), Found("Gone", "fatal", "Acme.Shop.Cart", joined=3),
            Found("single line", "info", "Acme.One"),
        ],
    ),
    "RFC 5424": (
        '<10>1 2026-04-05T11:00:00Z node-a shop 8 ID [a@1 b="x \\"y\\" \\] z"][c d="1"] could not open\n'
        "<13>1 2026-04-05T11:00:01Z node-a - - - - all good\n<11>1 2026-04-05T11:00:02Z node-a shop 8 - no data here",
        [
            Found("could not open", "fatal", "shop", "2026-04-05T11:00:00"),
            Found("all good", "info", None, "2026-04-05T11:00:01"), Found("no data here", "error", "shop"),
        ],
    ),
    "Lambda": (
        "2026-04-05T11:00:00.123Z\t0c5e1c5e-7d5e-4c3e-9f0a-0123456789ab\tWARN\tslow\n"
        "[ERROR]\t2026-04-05T11:00:01.123Z\t0c5e1c5e-7d5e-4c3e-9f0a-0123456789ab\tno row",
        [
            Found("slow", "warn", None, "2026-04-05T11:00:00.123"), Found("no row", "error", None, "2026-04-05T11:00:01.123"),
        ],
    ),
    "OTLP": (
        '{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},"scopeLogs":'
        '[{"logRecords":[{"timeUnixNano":"1775386800123456789","severityNumber":9,"body":{"stringValue":"fine"}},'
        '{"timeUnixNano":"1775386801123456789","severityNumber":17,"body":{"stringValue":"no row"}}]}]}]}',
        [Found("no row; fine", "error", "shop", "2026-04-05T11:00:01.123")],
    ),
    "JSON's keys": (
        '{"timeMillis":1775386800123,"level":"WARN","loggerName":"c.a.B","message":"a"}\n'
        '{"instant":{"epochSecond":1775386800,"nanoOfSecond":500000000},"level":"FATAL","message":"b"}\n'
        '{"@t":"2026-04-05T11:00:00Z","@mt":"Could {What}","What":1}\n{"@t":"2026-04-05T11:00:00Z","@l":"Warning","@m":"d"}\n'
        '{"Timestamp":"2026-04-05T11:00:00Z","LogLevel":"Critical","Category":"Acme.A","Message":"e"}\n'
        '{"t":{"$date":"2026-04-05T11:00:00.5Z"},"s":"W","c":"NETWORK","msg":"f"}\n'
        '{"datetime":"2026-04-05T11:00:00+00:00","level":400,"level_name":"ERROR","channel":"app","message":"g"}\n'
        '{"timestamp":{"seconds":"1775386800","nanos":5},"severity":"NOTICE","message":"h"}\n'
        '{"ts":"1775386800.25","lvl":"eror","msg":"i"}\n{"time":"2026-04-05T11:00:00","level":true,"msg":"j"}',
        [
            Found("a", "warn", "c.a.B", "2026-04-05T11:00:00.123"), Found("b", "fatal", None, "2026-04-05T11:00:00.5"),
            Found("Could {What}", "info", None, "2026-04-05T11:00:00"), Found("d", "warn"),
            Found("e", "fatal", "Acme.A", "2026-04-05T11:00:00"), Found("f", "warn", "NETWORK", "2026-04-05T11:00:00.5"),
            Found("g", "error", "app"), Found("h", "info", None, "2026-04-05T11:00:00"),
            Found("i", "error", None, "2026-04-05T11:00:00.25"), Found("j", None, None, "2026-04-05T11:00:00"),
        ],
    ),
}  # fmt: skip

TIMES = {
    "2026-04-05 11:00:05.123 +02:00": "2026-04-05T09:00:05.123",
    "2026-04-05 12:00:05 AM": "2026-04-05T00:00:05",
    "2026-04-05 12:00:05 PM": "2026-04-05T12:00:05",
    "2026-04-05 11:00:05+05": "2026-04-05T06:00:05",
    "2026-04-05 11:00:05.5 -03": "2026-04-05T14:00:05.5",
    "4/5/2026 1:00:05 PM": "2026-04-05T13:00:05",
    "4/5/2026, 1:00:05 AM": "2026-04-05T01:00:05",
    "25/4/2026 01:00:05": "2026-04-25T01:00:05",
    "2016-12-31T23:59:60.5Z": "2017-01-01T00:00:00.5",
    "2016-12-31 23:59:60": "2017-01-01T00:00:00",
    "05-Apr-2026 11:00:05 UTC": "2026-04-05T11:00:05",
    "05-Apr-2026 11:00:05.25": "2026-04-05T11:00:05.25",
    "Sun, 05 Apr 2026 11:00:05 +0200": "2026-04-05T09:00:05",
    "Sun, 05 Apr 2026 11:00:05 GMT": "2026-04-05T11:00:05",
    "Sun Apr  5 11:00:05 UTC 2026": "2026-04-05T11:00:05",
    "1775386800123456489": "2026-04-05T11:00:00.123456",
    "1775386800123456": "2026-04-05T11:00:00.123456",
    "1775386800123": "2026-04-05T11:00:00.123",
    "2026-04-05_11:00:05.12345": "2026-04-05T11:00:05.12345",
    "0001-01-01T00:00:00Z": None,
    "9999-12-31T23:59:59Z": None,
    "1970-01-01T00:00:00Z": None,
    "2026-13-45T99:00:00Z": None,
}
