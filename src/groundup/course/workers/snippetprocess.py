"""The process that runs a lesson's snippets: `python -m groundup.course.workers.snippetprocess`.

One JSON request on standard input, one JSON list of failures on standard output.
"""

from __future__ import annotations

import doctest
import json
import sys
from pathlib import Path
from typing import Any

from groundup.course.grader import overlay
from groundup.course.grader.limits import die_with_parent
from groundup.course.material.lessons import examples


class _Runner(doctest.DocTestRunner):
    """Collects failures instead of printing them."""

    def __init__(self) -> None:
        super().__init__(verbose=False)
        self.failed: list[dict[str, Any]] = []

    def _fail(self, test: doctest.DocTest, example: doctest.Example, got: str) -> None:
        line = (test.lineno or 0) + example.lineno + 1
        self.failed.append({"line": line, "source": example.source, "got": got, "want": example.want})

    def report_failure(self, out: Any, test: doctest.DocTest, example: doctest.Example, got: str) -> None:
        """Keep the output."""
        self._fail(test, example, got)

    def report_unexpected_exception(
        self, out: Any, test: doctest.DocTest, example: doctest.Example, exc_info: Any
    ) -> None:
        """Keep the exception."""
        self._fail(test, example, f"{exc_info[0].__name__}: {exc_info[1]}")


def main() -> None:
    """Run the snippets of one lesson."""
    die_with_parent()
    request = json.load(sys.stdin)
    overlay.add_unit_folder(request["package"], Path(request["folder"]).resolve())
    runner = _Runner()
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for snippet in request["snippets"]:
        test = doctest.DocTest(examples(snippet["text"]), namespace, "lesson", "lesson.md", snippet["line"], None)
        # The test works on a copy of its names: pass the namespace on, so that a snippet builds on earlier snippets.
        test.globs = namespace
        runner.run(test, clear_globs=False)
    tidy = [{key: v.strip() if isinstance(v, str) else v for key, v in f.items()} for f in runner.failed]
    json.dump(tidy, sys.stdout)


if __name__ == "__main__":
    main()
