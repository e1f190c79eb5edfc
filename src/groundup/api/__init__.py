"""The shared parts of every system's API: access, errors of one shape, deadlines, counters, the page beside it.

- `guard`: ASGI middleware that refuses, limits and counts.
- `app`: an application with its guard, its errors, `/healthz` and `/metrics`; events as lines of JSON.
- `errors`: every error as `{"error": "…", "status": 422}`.
- `work`: what work behind a request may raise, and until when it may run.
- `metrics`: requests and their seconds, for Prometheus.
- `serving`: ports, the page's process, and an end that takes both away.
- `client`: an API asked from another process, by the standard library alone.

FastAPI is imported by `app` and `errors`, prometheus_client by `app` and `metrics`: import those where an API
starts, not before.
"""
