"""Events reach every page once and in order, also after a lost connection; saving a file checks it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

from groundup.course.course import Course
from groundup.course.material.source import code_of
from groundup.course.material.unit import Unit
from groundup.course.verdict import Compiled, sha256_text
from groundup.site.app import Site
from groundup.site.checks import Checks
from groundup.site.live import Channel
from groundup.site.watch import watch
from tests.site.conftest import PretendGrader
from tests.site.test_pages import PASSING

UNIT = "bedrock/vectors"


def read(channel: Channel, last: str = "") -> list[tuple[str, str]]:
    """Kind and id of every event of a channel that is closed."""

    async def collect() -> list[str]:
        return [text async for text in channel.stream(last)]

    found = []
    for text in asyncio.run(collect()):
        fields = dict(line.split(": ", 1) for line in text.strip().splitlines())
        found.append((fields["event"], fields["id"]))
    return found


def channel_with(*kinds: str, keep: int | None = None) -> Channel:
    channel = Channel(keep)
    for kind in kinds:
        channel.publish(kind)
    channel.close()
    return channel


def test_a_page_that_lost_its_connection_gets_what_it_missed():
    channel = channel_with("a", "b", "c", keep=10)
    assert [kind for kind, _ in read(channel, f"{channel.boot}-1")] == ["hello", "b", "c"]
    assert [kind for kind, _ in read(channel, f"{channel.boot}-3")] == ["hello"]


def test_a_new_page_gets_only_what_is_new():
    assert [kind for kind, _ in read(channel_with("a", "b", keep=10))] == ["hello"]


def test_a_late_page_of_a_run_gets_all_of_it():
    assert [kind for kind, _ in read(channel_with("a", "b"))] == ["hello", "a", "b"]


def test_a_page_is_told_to_start_anew_when_events_are_lost():
    channel = channel_with("a", "b", "c", "d", keep=2)
    assert [kind for kind, _ in read(channel, f"{channel.boot}-1")] == ["reset"]
    assert read(channel, "otherboot-3")[0][0] == "reset"
    assert read(channel, f"{channel.boot}-99")[0][0] == "reset"
    assert read(channel, "nonsense")[0][0] == "reset"


def test_ids_go_on_from_each_other():
    channel = channel_with("a", "b", keep=5)
    assert [ident for _, ident in read(channel, f"{channel.boot}-0")] == [f"{channel.boot}-{i}" for i in range(3)]


def test_events_published_by_threads_reach_a_page_that_waits():
    channel = Channel(keep=500)

    async def page() -> list[str]:
        texts = []
        threads = [threading.Thread(target=channel.publish, args=(f"k{i}",)) for i in range(50)]
        async for text in channel.stream():
            texts.append(text)
            if len(texts) == 1:
                for thread in threads:
                    thread.start()
            if len(texts) == 51:
                channel.close()
        return texts

    numbers = [int(text.split("-")[1].split("\n")[0]) for text in asyncio.run(asyncio.wait_for(page(), 10))]
    assert numbers == list(range(51))


class SlowGrader(PretendGrader):
    """Waits until it is let go on."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go_on = threading.Event(), threading.Event()

    def grade(self, *arguments, **options):  # type: ignore[no-untyped-def]
        self.begun.set()
        assert self.go_on.wait(10)
        return super().grade(*arguments, **options)


def test_a_file_saved_while_it_is_graded_is_graded_once_more(course: Course):
    grader = SlowGrader()
    course.__dict__["grader"] = grader
    course.workspace.create()
    course.workspace.write_exercise(UNIT, "first")
    checks = Checks(course, Channel(keep=100))
    first = checks.request(UNIT)
    assert grader.begun.wait(10)
    course.workspace.write_exercise(UNIT, PASSING)
    others = [checks.request(UNIT) for _ in range(5)]
    grader.go_on.set()
    assert [v and v.verdict for v in (first.result(10), *(other.result(10) for other in others))] == ["failed"] + [
        "passed"
    ] * 5
    assert grader.graded == ["first", PASSING]
    assert not checks.running(UNIT)


def test_a_page_knows_how_the_checks_came_out_before_it_knows_why(course: Course):
    class Watching(PretendGrader):
        def grade(self, *arguments, **options):  # type: ignore[no-untyped-def]
            shown.append(checks.progress(UNIT))
            verdict = super().grade(*arguments, **options)
            shown.append(checks.progress(UNIT))
            return verdict

    shown: list[str] = []
    course.__dict__["grader"] = Watching()
    course.workspace.create()
    course.workspace.write_exercise(UNIT, "wrong")
    channel = Channel(keep=100)
    checks = Checks(course, channel)
    verdict = checks.request(UNIT).result(10)
    assert verdict is not None
    assert verdict.checks[0].diagnosis == "You forgot to `return` it."
    assert shown == ["Checking…", "Not yet. 0 of 1 checks passed. Searching for the mistake…"]
    assert checks.progress(UNIT) == ""
    channel.close()
    kinds = [kind for kind, _ in read(channel, f"{channel.boot}-0")]
    assert kinds == ["hello", "checking", "checking", "verdict"]


def test_a_check_that_breaks_is_told_and_the_next_one_works(course: Course):
    channel = Channel(keep=100)
    checks = Checks(course, channel)
    assert checks.request(UNIT).result(10) is None
    assert "there is no code to check" in checks.trouble[UNIT]
    course.start("vectors")
    assert checks.request(UNIT).result(10) is not None
    assert UNIT not in checks.trouble
    channel.close()
    kinds = [kind for kind, _ in read(channel, f"{channel.boot}-0")]
    assert kinds == ["hello", "checking", "trouble", "checking", "checking", "verdict"]


def until(true: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_saving_checks_once_and_touching_checks_never(course: Course):
    grader: PretendGrader = course.__dict__["grader"]
    path = course.workspace.exercise(UNIT)

    async def run() -> None:
        stop = asyncio.Event()
        checks = Checks(course, Channel(keep=100))
        watching = asyncio.create_task(watch(course.workspace, course.catalogue, checks, stop))
        await asyncio.sleep(0)  # it has seen that there is no exercise
        # The workspace does not exist yet; starting the exercise makes it.
        await asyncio.to_thread(course.start, "vectors")
        await asyncio.to_thread(until, lambda: len(grader.graded) == 1)
        path.touch()
        path.write_text(path.read_text())
        await asyncio.sleep(0.5)
        assert len(grader.graded) == 1
        course.workspace.write_exercise(UNIT, PASSING)
        await asyncio.to_thread(until, lambda: len(grader.graded) == 2)
        stop.set()
        await asyncio.wait_for(watching, 5)

    asyncio.run(run())
    assert grader.graded[-1] == PASSING


def test_the_site_warms_only_the_runtimes_that_were_begun(course: Course):
    grader: PretendGrader = course.__dict__["grader"]

    async def made() -> Site:
        return Site(course, "token")

    site = asyncio.run(made())
    site.warm_started()
    assert grader.warmed == []
    course.start("vectors")
    site.warm_started()
    assert grader.warmed == ["numpy"]


def test_kernels_are_compiled_after_a_pass_and_what_comes_of_it_is_shown(course: Course):
    class Compiling(PretendGrader):
        def compile(self, unit: Unit, source: str) -> Compiled:
            shown.append(checks.kernels(UNIT))
            made.append(source)
            return Compiled(
                False, "Numba cannot compile `dot` (exercises/bedrock/vectors.py:5): no.", sha256_text(code_of(source))
            )

    shown: list[str] = []
    made: list[str] = []
    course.__dict__["grader"] = Compiling()
    course.workspace.create()
    checks = Checks(course, Channel(keep=100))
    for text in ("import numba", PASSING, f"import numba\n{PASSING}", f"# again\nimport numba\n{PASSING}"):
        course.workspace.write_exercise(UNIT, text)
        checks.request(UNIT).result(10)
    until(lambda: course.compiled(UNIT) is not None and not checks.compiles(UNIT))
    assert len(made) == 1  # once for each code; neither what fails nor what has no kernels
    assert shown == ["Numba compiles your kernels now, and they are put to the same checks again."]
    assert checks.kernels(UNIT).startswith(
        "Numba cannot compile `dot` (exercises/bedrock/vectors.py:5): no. The unit st"
    )
    assert course.states()[UNIT].status == "passed"
    course.workspace.write_exercise(UNIT, PASSING)
    assert checks.kernels(UNIT) == ""
    checks.close()
