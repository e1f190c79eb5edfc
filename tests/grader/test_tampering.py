"""A wrong submission that goes for the checks instead of the task does not pass, whatever it changes."""

from pathlib import Path

import pytest

from groundup.course.grader import Grader
from groundup.course.material.unit import Unit
from tests.grader.submissions import CTYPES, LINUX, WRONG, assert_refused, below, inside, judged_by, line_of

pytestmark = LINUX

# Every one of these is below a wrong `total`, and is refused at the marked line.
REFUSED = {
    "pytest.fail": "import pytest  # here\npytest.fail = print",
    "pytest, by name": "import importlib\nsetattr(importlib.import_module('pytest'), 'fail', print)  # here",
    "pytest, by a name put together": "import importlib\nimportlib.import_module('py' + 'test').fail = print  # here",
    "_pytest, by a name put together": "__import__('_py' + 'test.runner')  # here",
    "pluggy": "import pluggy  # here",
    "hypothesis": "from hypothesis import settings  # here",
    "mock": "from unittest import mock  # here",
    "assert_close": "import groundup.checking  # here\ngroundup.checking.assert_close = print",
    "assert_close, by a name put together": "__import__('groundup.check' + 'ing')  # here",
    "the grader": "from groundup.course.grader import guard  # here",
    "AssertionError": "import builtins\nbuiltins.AssertionError = KeyError  # here",
    "AssertionError, by setattr": "import builtins\nsetattr(builtins, 'AssertionError', KeyError)  # here",
    "isinstance": "import builtins\nsetattr(builtins, 'isin' + 'stance', lambda *_: True)  # here",
    "np.isclose": "np.isclose = lambda a, *_, **__: np.ones(np.shape(a), bool)  # here",
    "np.isclose, by setattr": "setattr(np, 'isclose', lambda a, *_, **__: np.ones(np.shape(a), bool))  # here",
    "np.isclose, by a name put together": "setattr(np, 'is' + 'close', lambda a, *_, **__: np.ones(np.shape(a), bool))"
    "  # here",
    "np.isclose, by vars": "vars(np)['isclose'] = lambda a, *_, **__: np.ones(np.shape(a), bool)  # here",
    "np.isclose, by update": "np.__dict__.update({'isclose': lambda a, *_, **__: np.ones(np.shape(a), bool)})  # here",
    "np.isclose, taken away": "del np.isclose  # here",
    "np.isclose, put back when it is called": """
        real = np.isclose
        def fake(a, *rest, **named):
            setattr(np, "isclose", real)
            return np.ones(np.shape(a), bool)
        setattr(np, "isclose", fake)  # here
        """,
    "numpy.testing": "import numpy.testing\nnumpy.testing.assert_allclose = print  # here",
    "the code of a function": "np.testing.assert_allclose.__code__ = (lambda *a, **k: None).__code__  # here",
    "the defaults of a function": "setattr(np.testing.assert_allclose, '__def' + 'aults__', (1e9, 1e9))  # here",
    "a class of numpy": "np.ma.MaskedArray.__eq__ = lambda *_: True  # here",
    "json": "import json\njson.dumps = lambda *_: 'passed'  # here",
    "settrace": "import sys\nsys.settrace(lambda *_: None)  # here",
    "settrace, by a name put together": "import sys\ngetattr(sys, 'set' + 'trace')(lambda *_: None)  # here",
    "setprofile": "import sys\ngetattr(sys, 'set' + 'profile')(lambda *_: None)  # here",
    "a trace of other threads": "import threading\nthreading.settrace(print)  # here",
    "sys.modules": "import sys\nsys.modules['numpy.testing'] = np  # here",
    "an import hook": "import sys\nsys.meta_path.insert(0, object())  # here",
    "gc": "import gc\n[o for o in gc.get_objects() if type(o).__name__ == 'Session']  # here",
    "gc, by a name put together": "import gc\ngetattr(gc, 'get_' + 'objects')()  # here",
    "gc, from an object": "import gc\ngetattr(gc, 'get_' + 'referrers')(np)  # here",
    "subclasses": "object.__subclasses__()  # here",
    "an audit hook": "import sys\nsys.addaudithook(print)  # here",
}


@pytest.mark.parametrize("code", REFUSED.values(), ids=REFUSED)
def test_a_change_of_what_the_checks_rely_on_is_refused_with_its_line(code: str, grader: Grader, unit: Unit):
    source = below(code, WRONG)
    assert_refused(grader.grade(unit, source, diagnose=False), source, "your code ")


# These leave no trace that tells the line, or one in another line.
CAUGHT = {
    "sys.modules": ("getattr(sys, 'mod' + 'ules')['numpy.testing'] = np", "sys.modules.numpy.testing"),
    "an import hook": ("getattr(sys, 'meta_' + 'path').insert(0, object())", "sys.meta_path"),
    "a path hook": ("getattr(sys, 'path_' + 'hooks').insert(0, object())", "sys.meta_path"),
    "_pytest": (
        "getattr(sys, 'mod' + 'ules')['_pytest.runner'].CallInfo.from_call = print",
        "_pytest.runner.CallInfo.from_call",
    ),
    "a namespace": ("vars(np).update({'is' + 'close': lambda a, *_, **__: np.ones(np.shape(a), bool)})", "isclose"),
    "builtins": ("vars(__import__('builtins')).update({'AssertionError': KeyError})", "builtins.AssertionError"),
}


@pytest.mark.parametrize(("code", "name"), CAUGHT.values(), ids=CAUGHT)
@pytest.mark.parametrize("when", ["imported", "called"])
def test_a_change_in_secret_is_refused_with_its_name(code: str, name: str, when: str, grader: Grader, unit: Unit):
    code = f"import sys\n{code}"
    verdict = grader.grade(unit, below(code, WRONG) if when == "imported" else inside(code, WRONG), diagnose=False)
    assert verdict.verdict == "refused"
    assert name in verdict.message
    assert verdict.message.startswith("exercises/bedrock/sums.py")


CHECKS = "getattr(sys, 'mod' + 'ules')['groundup.stack.bedrock.sums.checks']"


@pytest.mark.parametrize(
    "code",
    [
        f"{CHECKS}.assert_close = print",
        f"vars({CHECKS}).update(assert_close=print)",
        f"{CHECKS}.pytest = {CHECKS}.np",
        f"{CHECKS}.test_total_adds_up = print",
    ],
)
def test_the_namespace_of_the_checks_may_not_be_changed(code: str, grader: Grader, unit: Unit):
    verdict = grader.grade(unit, inside(f"import sys\n{code}", WRONG), diagnose=False)
    assert verdict.verdict == "refused"
    assert "groundup.stack.bedrock.sums.checks." in verdict.message


# Results that say themselves that they are right.
EQUAL = {
    "a method": "class Equal(float):\n    def __eq__(self, other):  # here\n        return True\nreturn Equal(0)",
    "an assignment": "class Equal(float):\n    __eq__ = lambda *_: True  # here\nreturn Equal(0)",
    "set from outside": "class Equal(float): pass\nEqual.__eq__ = lambda *_: True  # here\nreturn Equal(0)",
    "by setattr": "class Equal(float): pass\nsetattr(Equal, '__eq__', lambda *_: True)  # here\nreturn Equal(0)",
    "by type": "return type('Equal', (float,), {'__eq__': lambda *_: True})(0)  # here",
    "never unequal": "class Equal(float):\n    def __ne__(self, other):  # here\n        return False\nreturn Equal(0)",
    "approx": "import pytest  # here\nreturn pytest.approx(0, abs=float('inf'))",
    "mock.ANY": "from unittest.mock import ANY  # here\nreturn ANY",
}


@pytest.mark.parametrize("code", EQUAL.values(), ids=EQUAL)
def test_a_result_that_equals_everything_is_refused(code: str, grader: Grader, unit: Unit):
    source = inside(code, WRONG)
    assert_refused(grader.grade(unit, source), source)


def test_a_method_that_the_reference_defines_itself_is_no_fault(grader: Grader, unit: Unit):
    from groundup.course.grader.forbidden import first_use

    source = "class A:\n    def __eq__(self, other):\n        return self is other\n"
    assert first_use(source, module="m", rules=(), packages=(), reference="") is not None
    assert first_use(source, module="m", rules=(), packages=(), reference=source) is None


# Tries that change nothing: the submission is wrong, and fails as if they were not there.
IN_VAIN = {
    "atexit": "import atexit, os\natexit.register(os.write, 1, b'passed')",
    "excepthook": "import sys\nsys.excepthook = sys.unraisablehook = lambda *_: None",
    "a plugin by name": "import os\nos.environ['PYTEST_PLUGINS'] = 'no_such_plugin'",
    "options": "import os\nos.environ['PYTEST_ADDOPTS'] = '--collect-only'",
    "a conftest": "open('conftest.py', 'w').write('def pytest_collection_modifyitems(items): items.clear()')",
    "a configuration": "open('pytest.ini', 'w').write('[pytest]\\npython_functions = nothing')",
    "hooks in the file": "def pytest_collection_modifyitems(items): items.clear()\npytest_plugins = ['x']",
    "checks of its own": "def test_total_adds_up(): pass\ndef test_mean_of(): pass",
    "a folder to import from": "import sys\nopen('scipy.py', 'w').write('')\nsys.path.insert(0, '.')",
    "standard output": "import sys\nsys.stdout = sys.stderr = None",
    "skipping": "def total(values): raise type('Skipped', (Exception,), {})",
    "NotImplementedError": "def total(values): raise NotImplementedError from KeyError()",
    "a descriptor of the name": "__name__ = 'groundup.checking'\n__file__ = 'checks.py'",
    "warnings": "import warnings\nwarnings.simplefilter('error')",
    "an object that patches when it dies": "class Last:\n    def __del__(self): vars(np).clear\nLast()",
    "a module attribute": "def __getattr__(name): return print",
    "an array class of its own": """
        class Array(np.ndarray):
            def __array_ufunc__(self, *_, **__): return True
            def all(self, *_, **__): return True
        def total(values): return np.zeros(()).view(Array)
        """,
}


@pytest.mark.parametrize("code", IN_VAIN.values(), ids=IN_VAIN)
def test_a_try_in_vain_fails_like_any_wrong_submission(code: str, grader: Grader, unit: Unit):
    verdict = grader.grade(unit, below(code, WRONG), diagnose=False)
    assert verdict.verdict == "failed", verdict
    assert verdict.checks[0].outcome in ("failed", "not_attempted")
    assert [check.name for check in verdict.checks][-1] == "test_mean_of"


def test_an_object_that_patches_when_it_dies(grader: Grader, unit: Unit):
    code = """
    class Last:
        def __init__(self, how):
            self.how = how
        def __del__(self):
            self.how(np, "is" + "close", lambda a, *_, **__: np.ones(np.shape(a), bool))
    last = Last(setattr)
    def total(values):
        global last
        last = None
        return 0.0
    """
    verdict = grader.grade(unit, below(code, WRONG), diagnose=False)
    assert verdict.verdict == "refused"
    assert "`numpy.isclose`" in verdict.message


def test_a_thread_that_waits_for_its_moment(grader: Grader, unit: Unit):
    code = """
    import threading, time
    def patch():
        time.sleep(0.05)
        setattr(np, "is" + "close", lambda a, *_, **__: np.ones(np.shape(a), bool))  # here
        time.sleep(60)
    threading.Thread(target=patch, daemon=True).start()
    """
    source = below(code, WRONG)
    assert_refused(grader.grade(unit, source), source, "changes `numpy.isclose`")


# The channel by which results are reported


@pytest.mark.parametrize("payload", ["b'{}'", "b'\\0' * 100", "b'\\xff' * 100", 'b\'{"kind": "done"}\' * 10'])
def test_writing_to_the_channel_is_refused(payload: str, grader: Grader, unit: Unit):
    code = f"""
    import os
    for descriptor in range(3, 64):
        try: os.write(descriptor, {payload})
        except OSError: pass
    """
    verdict = grader.grade(unit, inside(code, WRONG), diagnose=False)
    assert verdict.verdict == "refused"
    assert "wrote to the channel by which the grader reports" in verdict.message
    assert "It was running `test_total_adds_up`." in verdict.message


def test_repeating_what_was_reported_is_refused(grader: Grader, unit: Unit):
    """The channel is a pipe: what comes out of one end cannot be read at the other, but a copy may be kept."""
    from groundup.course.grader.channel import Forged, Receiver, emitter

    with open("/dev/null", "wb"):
        pass
    import os

    ours, theirs = os.pipe()
    emitter(theirs, b"k" * 32)({"kind": "done"})
    frame = os.read(ours, 10_000)
    os.close(ours)
    os.close(theirs)
    receiver = Receiver(b"k" * 32)
    assert list(receiver.feed(frame)) == [{"kind": "done"}]
    with pytest.raises(Forged):
        list(receiver.feed(frame))
    with pytest.raises(Forged):
        list(Receiver(b"x" * 32).feed(frame))


@pytest.mark.parametrize(
    "code",
    [
        "os.closerange(3, 256)",
        "nothing = os.open('/dev/null', 1)\nfor d in range(3, 64):\n    d != nothing and os.dup2(nothing, d)",
    ],
)
def test_closing_the_channel_is_refused(code: str, grader: Grader, unit: Unit):
    verdict = grader.grade(unit, inside(f"import os\n{code}", WRONG), diagnose=False)
    assert verdict.verdict == "refused"
    assert "closed the channel by which the grader reports" in verdict.message


def test_closing_the_channel_and_going_on_is_refused(grader: Grader, unit: Unit):
    verdict = grader.grade(unit, inside("import os, time\nos.closerange(3, 256)\ntime.sleep(600)", WRONG))
    assert verdict.verdict == "refused"
    assert "closed the channel by which the grader reports" in verdict.message


@pytest.mark.parametrize(
    "code",
    [
        "import marshal\nmarshal.dumps = lambda event: b''",
        "import hashlib\nhashlib.blake2b = None",
        "import struct\nvars(struct)['pack'] = None",
        "import json.encoder\nclass Forger(json.encoder.JSONEncoder):\n    def encode(self, o): return '{}'\n"
        "json.encoder.c_make_encoder = None\nvars(json)['_default_encoder'] = Forger()",
        "import os\nvars(os)['write'] = lambda *_: 1",
    ],
)
def test_what_writes_the_reports_cannot_be_replaced(code: str, grader: Grader, unit: Unit):
    verdict = grader.grade(unit, below(code, WRONG), diagnose=False)
    assert verdict.verdict in ("failed", "refused"), verdict
    assert verdict.verdict == "refused" or verdict.checks[0].outcome == "failed"


def test_a_fork_that_goes_on_reporting_is_not_heard(grader: Grader, unit: Unit):
    code = f"{CTYPES}\nif not KEPT:\n    KEPT.append(1)\n    ctypes.CDLL(None).fork()"
    verdict = grader.grade(unit, inside(code, below("KEPT = []", WRONG)), diagnose=False)
    assert verdict.verdict == "failed", verdict
    assert verdict.checks[0].message == "total([1, 2, 3]) is 6\n  expected 6.\n  got      7."


def test_a_module_that_the_checks_import_later_cannot_be_planted(tmp_path: Path, grader: Grader):
    checks = "import colorsys\n\ndef test_imports():\n    assert colorsys.rgb_to_hsv(1, 1, 1) == (0.0, 0.0, 1)\n"
    unit = judged_by(checks, tmp_path / "stack")
    assert grader.grade(unit, WRONG).verdict == "passed"
    code = "import sys, types\ngetattr(sys, 'mod' + 'ules')['color' + 'sys'] = types.SimpleNamespace(rgb_to_hsv=print)"
    verdict = grader.grade(unit, below(code), diagnose=False)
    assert verdict.verdict == "refused"
    assert "sys.modules.colorsys" in verdict.message


# Looking the answers up in what calls it
FRAMES = {
    "_getframe": "import sys\nreturn sys._getframe(1).f_locals  # here",
    "_getframe, by a name put together": "import sys\ntry: getattr(sys, '_get' + 'frame')(1)  # here\n"
    "except Exception: pass",
    "currentframe": "import inspect\ntry: getattr(inspect, 'current' + 'frame')()  # here\nexcept Exception: pass",
    "stack": "import inspect\ntry: getattr(inspect, 'sta' + 'ck')()  # here\nexcept Exception: pass",
    "walk_stack": "import traceback\ntry: next(traceback.walk_stack(None))  # here\nexcept Exception: pass",
    "all threads": "import sys\ntry: getattr(sys, '_current_' + 'frames')()  # here\nexcept Exception: pass",
    "a traceback": "try: 1 / 0\nexcept ZeroDivisionError as error:\n"
    "    try: getattr(error.__traceback__, 'tb_' + 'frame')  # here\n    except Exception: pass",
    "a generator": "g = (x for x in ())\ntry: getattr(g, 'gi_' + 'frame')  # here\nexcept Exception: pass",
    "a signal": "import signal\nsignal.signal(signal.SIGALRM, lambda number, frame: frame.f_back)  # here",
    "exec": "try: exec('import sys; sys._get' + 'frame(3)')  # here\nexcept Exception: pass",
    "the code of a check": "try: getattr(np.testing.assert_allclose, '__co' + 'de__')  # here\nexcept Exception: pass",
    "the checks' file": "import os\ntry: open(CHECKS)  # here\nexcept Exception: pass",
}


@pytest.mark.parametrize("code", FRAMES.values(), ids=FRAMES)
def test_looking_at_what_calls_it_is_refused_with_the_line(code: str, grader: Grader, unit: Unit):
    source = inside(code.replace("CHECKS", repr(str(unit.checks))))
    assert_refused(grader.grade(unit, source), source)


def test_what_python_itself_does_with_frames_is_no_fault(grader: Grader, unit: Unit):
    code = """
    import collections, dataclasses, enum, inspect, logging, traceback, typing, warnings
    Point = collections.namedtuple("Point", "x y", defaults=(0, 0))
    Colour = enum.Enum("Colour", "RED GREEN")
    class Row(typing.NamedTuple):
        x: int = 0
    @dataclasses.dataclass
    class Column:
        y: int = 0
    T = typing.TypeVar("T")
    inspect.signature(total)
    logging.getLogger("mine").warning("hello")
    warnings.warn("hello", stacklevel=2)
    try:
        1 / 0
    except ZeroDivisionError:
        traceback.print_exc()
        traceback.print_stack()
    def decorated(function):
        import functools
        return functools.wraps(function)(lambda *a: function(*a))
    total = decorated(total)
    total.__code__.co_name
    """
    verdict = grader.grade(unit, below(code))
    assert verdict.verdict == "passed", verdict
    assert line_of("x  # here") == 1
