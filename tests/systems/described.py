"""An API against its own description: good and bad requests made from the OpenAPI schema, in this process."""

from __future__ import annotations

from collections.abc import Container
from typing import Any
from unittest import SkipTest

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance


def hold_to_description(described: Any, mode: GenerationMode, *, pickier: Container[str] = ()) -> int:
    """Try each operation with requests of a kind; how many were tried.

    Args:
        described: the schema, as schemathesis reads it.
        mode: good requests, or bad ones.
        pickier: paths that refuse, in words, what no schema can say: a file that is no log, for example.
    """
    tried = 0
    for result in described.get_all_operations():
        strategy = result.ok().as_strategy(generation_mode=mode)

        @settings(
            max_examples=12, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
        )  # fmt: skip
        @given(case=strategy)
        def hold(case: Any) -> None:
            nonlocal tried
            tried += 1
            excluded = [positive_data_acceptance] if case.path in pickier else None
            case.call_and_validate(excluded_checks=excluded, timeout=120)  # the machine may be busy

        try:
            hold()
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE  # what takes no parameter has no bad one
        except SkipTest:
            continue
    return tried


def without_example(description: dict[str, Any]) -> list[str]:
    """The requests with a body of JSON that the description shows no example of."""
    missing = []
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if body is not None:
                model = description["components"]["schemas"][body["schema"]["$ref"].rsplit("/", 1)[-1]]
                required = model.get("required", ())
                if "examples" not in model and not all("examples" in model["properties"][one] for one in required):
                    missing.append(f"{method} {path}")
    return missing
