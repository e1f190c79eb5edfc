"""Stopping the site ends what it started, at once, whatever is under way."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
from starlette.testclient import TestClient

from groundup.course.course import Course
from groundup.course.learner.workspace import Workspace
from groundup.course.material.catalogue import Catalogue
from groundup.site import create_app
from groundup.site.app import Site
from tests.site.conftest import HOST
from tests.site.sample import write_sample_stack

UNIT = "bedrock/vectors"
ENDLESS = "import numpy as np\n\n\ndef dot(a, b):\n    while True:\n        pass\n"


def test_stopping_in_the_middle_of_a_check_leaves_no_process_and_does_not_wait_for_the_limit(tmp_path: Path) -> None:
    before = set(psutil.Process().children(recursive=True))
    catalogue = Catalogue(write_sample_stack(tmp_path / "stack"))
    with Course(Workspace(tmp_path / "learner"), catalogue=catalogue) as course:
        course.start(UNIT)
        with TestClient(create_app(course), base_url=HOST) as client:
            site: Site = client.app.state.site  # type: ignore[attr-defined]
            course.workspace.write_exercise(UNIT, ENDLESS)
            verdict = site.checks.request(UNIT)
            again = site.checks.request(UNIT)
            wait_for_a_grader(before)
    assert verdict.result(timeout=60) is None, "it was broken off: waiting for the limit would have given a verdict"
    assert again is verdict or again.cancelled()
    assert not set(psutil.Process().children(recursive=True)) - before
    assert not course.ledger.counts().get("verdict")


def wait_for_a_grader(before: set[psutil.Process]) -> None:
    """Until a supervisor has forked the process that runs the learner's code."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        started = set(psutil.Process().children(recursive=True)) - before
        if len(started) >= 3:  # the worker, the supervisor, the run
            return
        time.sleep(0.05)
    raise AssertionError("nothing was graded")
