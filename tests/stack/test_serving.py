"""Serving beside Pydantic, FastAPI, a simulated queue, and under a server's own start and end."""

from __future__ import annotations

import asyncio
import math
import re
from importlib.resources import files
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from groundup.stack.agents.reliability import now, run_virtual
from groundup.stack.production.serving import (
    Field,
    Invalid,
    Prediction,
    Service,
    create_app,
    queue_mean,
    queue_quantile,
    validate,
)

FIELDS = {"cpu": Field(float, 0, 100), "restarts": Field(int, 0, 9), "pod": Field(str, 2, 5)}
VALUES = st.one_of(
    st.floats(), st.integers(-3, 120), st.integers(), st.text(max_size=7), st.booleans(), st.none(), st.just([1.0])
)


def loader(takes: float = 0.0) -> Any:
    async def model(items: list[dict[str, float]]) -> list[Prediction]:
        await asyncio.sleep(takes)
        return [Prediction("high" if item["cpu"] > 90 else "low", 0.75) for item in items]

    async def load() -> Any:
        return model

    return load


@given(st.dictionaries(st.sampled_from(["cpu", "restarts", "pod", "zone"]), VALUES))
@example({"cpu": 10**400, "restarts": 2, "pod": "api"})
@example({"cpu": math.nan, "restarts": 2.0, "pod": "api"})
def test_bodies_are_judged_as_pydantic_judges_them(body: dict[str, Any]) -> None:
    pydantic = pytest.importorskip("pydantic")

    class Pod(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="forbid", strict=True)
        cpu: Annotated[float, pydantic.Field(ge=0, le=100, allow_inf_nan=False)]
        restarts: Annotated[int, pydantic.Field(ge=0, le=9)]
        pod: Annotated[str, pydantic.Field(min_length=2, max_length=5)]

    try:
        expected: Any = Pod.model_validate(body).model_dump()
    except pydantic.ValidationError as error:
        expected = [(list(each["loc"]), each["type"]) for each in error.errors()]
    try:
        result: Any = validate(FIELDS, body)
    except Invalid as error:
        result = [(detail["loc"], detail["type"]) for detail in error.details]
    assert result == expected


def lesson_app(service: Service) -> Any:
    """The FastAPI app of the lesson, with this service behind it."""
    fastapi = pytest.importorskip("fastapi")
    import pydantic
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse
    from starlette.exceptions import HTTPException

    text = files("groundup.stack.production.serving").joinpath("lesson.md").read_text(encoding="utf-8")
    code = re.search(r"```text\n(class Pod.*?)```", text, re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {"service": service, "Invalid": Invalid, "Any": Any, "Literal": Literal}
    names |= {"FastAPI": fastapi.FastAPI, "Request": fastapi.Request, "JSONResponse": JSONResponse}
    names["HTTPException"] = HTTPException
    names |= {"RequestValidationError": RequestValidationError, "BaseModel": pydantic.BaseModel}
    names |= {"ConfigDict": pydantic.ConfigDict, "Field": pydantic.Field}
    exec(compile(code[1], "lesson.md", "exec", dont_inherit=True), names)
    return names["app"]


@pytest.mark.parametrize("mode", ["POSITIVE", "NEGATIVE"])
def test_the_api_of_the_lesson_does_what_its_description_says(mode: str) -> None:
    schemathesis = pytest.importorskip("schemathesis")
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    service = Service({"cpu": Field(float, 0, 100), "restarts": Field(int, 0, 9)}, max_delay=0.0)
    asyncio.run(service.reload("v1", loader(), {"cpu": 1.0, "restarts": 0}))
    described = schemathesis.openapi.from_asgi("/openapi.json", lesson_app(service))
    outcomes = set()
    for result in described.get_all_operations():
        strategy = result.ok().as_strategy(generation_mode=getattr(schemathesis.GenerationMode, mode))

        @settings(
            max_examples=12, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        )  # fmt: skip
        @given(case=strategy)
        def hold(case: Any) -> None:
            # JSON Schema counts 6.0 as an integer, and strict Pydantic does not: its 422 is looked at below.
            response = case.call_and_validate(excluded_checks=[positive_data_acceptance], timeout=120)
            faults = {detail["type"] for detail in response.json().get("error", {}).get("details", ())}
            outcomes.add((response.status_code, *(sorted(faults) if mode == "POSITIVE" else ())))

        hold()
    assert outcomes <= ({(200,), (422, "int_type")} if mode == "POSITIVE" else {(400,), (422,)})
    assert mode == "NEGATIVE" or (200,) in outcomes


def test_the_api_of_the_lesson_has_the_documented_error() -> None:
    from starlette.testclient import TestClient

    service = Service({"cpu": Field(float, 0, 100), "restarts": Field(int, 0, 9)})
    client = TestClient(lesson_app(service))
    answer = client.post("/predict", json={"cpu": "7", "zone": 1})
    assert answer.status_code == 422
    assert answer.json()["error"]["details"] == [
        {"loc": ["cpu"], "type": "float_type"},
        {"loc": ["restarts"], "type": "missing"},
        {"loc": ["zone"], "type": "extra_forbidden"},
    ]
    answer = client.post("/predict", json={"cpu": 7, "restarts": 1})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_the_queue_is_a_simulated_one() -> None:
    rng = np.random.default_rng(0)
    for load in (0.3, 0.6, 0.8, 0.9):
        gaps = rng.exponential(1 / load, 400_000)
        # Lindley: W(n + 1) = max(0, W(n) + 1 - gap), unrolled by a running minimum.
        steps = np.concatenate([[0.0], np.cumsum(1 - gaps)])
        waits = steps - np.minimum.accumulate(steps)
        assert waits.mean() == pytest.approx(queue_mean(load), rel=0.05)
        for share in (0.5, 0.9, 0.99):
            assert np.mean(waits <= queue_quantile(load, share) + 1e-9) == pytest.approx(share, abs=0.012) or (
                queue_quantile(load, share) == 0 and np.mean(waits <= 1e-9) >= share
            )


def test_a_server_that_shuts_down_drains() -> None:
    async def main() -> tuple[list[int], float, bool]:
        service = Service({"cpu": Field(float)}, seconds=9.0)
        await service.reload("v1", loader(takes=2.0), {"cpu": 1.0})
        app = create_app(service, pause=1.0, grace=9.0)
        async with app.router.lifespan_context(app):
            tasks = [asyncio.ensure_future(service.predict({"cpu": 95.0})) for _ in range(3)]
            await asyncio.sleep(0.5)
        begun = now()
        return [reply.status for reply in await asyncio.gather(*tasks)], begun, service.ready()

    statuses, ended, ready = run_virtual(main())
    assert (statuses, ready) == ([200] * 3, False)
    assert ended == pytest.approx(4.005)  # the probe, the batch's delay, the batch


def test_a_model_in_a_thread_answers_on_a_real_loop() -> None:
    async def main() -> list[Any]:
        async def load() -> Any:
            async def model(items: list[Any]) -> list[Prediction]:
                return await asyncio.to_thread(lambda: [Prediction(str(item["cpu"]), 1.0) for item in items])

            return model

        service = Service({"cpu": Field(float)}, seconds=60.0)
        await service.reload("v1", load, {"cpu": 1.0})
        replies = await asyncio.gather(*(service.predict({"cpu": n}) for n in range(100)))
        assert await service.stop(pause=0.0, grace=60.0) == 0
        return [reply.body["label"] for reply in replies]

    assert asyncio.run(main()) == [str(float(n)) for n in range(100)]
