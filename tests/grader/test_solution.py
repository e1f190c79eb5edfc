"""The unit's own solution cannot be had from inside the exercise: not by any name, nor from any copy made there."""

import dataclasses
import os
import py_compile
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from groundup.course.grader import Grader, limits
from groundup.course.material.unit import Unit, load_unit
from tests.grader.submissions import LINUX, MEANS, STACK, SUMS, assert_refused, inside, some

pytestmark = LINUX

SECRET = "your code reads the unit's own files, which hold the solution. Write it yourself."

READING = {
    "open": "open(PATH).read()  # here",
    "open bytes": "open(PATH.encode(), 'rb').read()  # here",
    "a path object": "import pathlib\npathlib.Path(PATH).read_text()  # here",
    "a way around": "open(PATH.replace('/sums/', '/./sums/../sums/'))  # here",
    "a relative path": "import os\nos.chdir(os.path.dirname(PATH))\nopen('sums.py')  # here",
    "a path through /proc": "open('/proc/self/root' + PATH)  # here",
    "io": "import io\nio.open(PATH)  # here",
    "FileIO": "import io\nio.FileIO(PATH)  # here",
    "open_code": "import io\nio.open_code(PATH)  # here",
    "codecs": "import codecs\ncodecs.open(PATH, encoding='utf-8')  # here",
    "tokenize": "import tokenize\ntokenize.open(PATH)  # here",
    "fileinput": "import fileinput\nnext(iter(fileinput.input(PATH)))  # here",
    "linecache": "import linecache\nlinecache.getlines(PATH)  # here",
    "os.open": "import os\nos.open(PATH, os.O_RDONLY)  # here",
    "os.open from a folder": "import os\nd = os.open(os.path.dirname(PATH), os.O_RDONLY)\n"
    "os.open('sums.py', os.O_RDONLY, dir_fd=d)  # here",
    "an opener": "import os\nopen('x', opener=lambda *_: os.open(PATH, os.O_RDONLY))  # here",
    "mmap": "import mmap, os\nmmap.mmap(os.open(PATH, os.O_RDONLY), 0, prot=mmap.PROT_READ)  # here",
    "np.fromfile": "np.fromfile(PATH, dtype=np.uint8)  # here",
    "np.loadtxt": "np.loadtxt(PATH, dtype=str, delimiter='|')  # here",
    "np.memmap": "np.memmap(PATH, mode='r')  # here",
    "a copy": "import shutil\nshutil.copy(PATH, 'copy.py')  # here",
    "a copy of the folder": "import os, shutil\nshutil.copytree(os.path.dirname(PATH), 'copy')  # here",
    "a symbolic link": "import os\nos.path.lexists('link.py') or os.symlink(PATH, 'link.py')\nopen('link.py')  # here",
    "a hard link": "import os\nos.link(PATH, 'link.py')  # here",
    "a zip": "import zipfile\nzipfile.ZipFile('copy.zip', 'w').write(PATH, 'copy.py')  # here",
    "importlib.resources": "import importlib.resources as r\n(r.files(__package__) / 'sums.py').read_text()  # here",
    "importlib.resources, from above": "import importlib.resources as r\n"
    "(r.files('groundup.stack.bedrock') / 'sums' / 'sums.py').read_text()  # here",
    "pkgutil": "import pkgutil\npkgutil.get_data(__package__, 'sums.py')  # here",
    "a loader": "__spec__.loader.get_source\nfrom importlib.machinery import SourceFileLoader\n"
    "SourceFileLoader('x', PATH).get_source('x')  # here",
    "another name": "import importlib.util as u\nspec = u.spec_from_file_location('other', PATH)\n"
    "spec.loader.exec_module(u.module_from_spec(spec))  # here",
    "another name, by a loader": "from importlib.machinery import SourceFileLoader\n"
    "SourceFileLoader('other', PATH).load_module()  # here",
    "the folder on the path": "import os, sys\nsys.path.insert(0, os.path.dirname(PATH))\n"
    "__import__('mis' + 'takes')  # here",
    "runpy": "import runpy\nrunpy.run_path(PATH)  # here",
    "exec": 'exec("open(\'" + PATH + "\')")  # here',
    "a map": "list(map(open, [PATH]))  # here",
    "the mistakes": "open(PATH.replace('/sums.py', '/mistakes.py'))  # here",
    "the checks": "open(PATH.replace('/sums.py', '/checks.py'))  # here",
    "a string that is more": "class Path(str):\n    def startswith(self, *_): return False\nopen(Path(PATH))  # here",
}


QUICK = """open|open bytes|a relative path|linecache|os.open from a folder|mmap|np.fromfile|a copy|a symbolic link
a hard link|a zip|importlib.resources|pkgutil|another name|runpy|the mistakes""".replace("\n", "|").split("|")


@pytest.mark.parametrize("code", some(READING, *QUICK))
def test_reading_the_solution_is_refused_with_the_line(code: str, grader: Grader, unit: Unit):
    source = inside(code.replace("PATH", repr(str(unit.implementation))))
    assert_refused(grader.grade(unit, source), source, "your code ")


def test_a_caught_refusal_is_a_refusal(grader: Grader, unit: Unit):
    source = inside(f"try:\n    open({str(unit.implementation)!r})  # here\nexcept Exception:\n    pass")
    assert_refused(grader.grade(unit, source), source, SECRET)


def test_a_refusal_in_a_fork_is_a_refusal(grader: Grader, unit: Unit):
    code = f"""
    import os
    pid = os.fork()
    if not pid:
        try:
            open({str(unit.implementation)!r})  # here
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    """
    unit = dataclasses.replace(unit, limits=dataclasses.replace(unit.limits, processes=4))
    source = inside(code)
    assert_refused(grader.grade(unit, source), source, SECRET)


def test_reading_in_a_thread_is_refused(grader: Grader, unit: Unit):
    path = repr(str(unit.implementation))
    source = inside(f"import threading\nt = threading.Thread(target=lambda: open({path}))  # here\nt.start()\nt.join()")
    assert_refused(grader.grade(unit, source), source, SECRET)


def test_reading_in_a_thread_without_any_code_of_its_own_is_refused(grader: Grader, unit: Unit):
    path = repr(str(unit.implementation))
    thread = f"threading.Thread(target=linecache.getlines, args=({path},))"
    code = f"import linecache, threading\nt = {thread}\nt.start()\nt.join()"
    verdict = grader.grade(unit, inside(code))
    assert verdict.verdict == "refused"
    assert SECRET.removeprefix("your code ") in verdict.message


@pytest.fixture
def compiled(unit: Unit) -> Iterator[str]:
    path = py_compile.compile(str(unit.implementation), doraise=True)
    assert path is not None
    yield path
    Path(path).unlink()


@pytest.mark.parametrize(
    "code",
    [
        "open(PATH, 'rb').read()  # here",
        "from importlib.machinery import SourcelessFileLoader\n"
        "SourcelessFileLoader('other', PATH).load_module('other')  # here",
    ],
)
def test_the_compiled_solution_is_refused_too(code: str, compiled: str, grader: Grader, unit: Unit):
    source = inside(code.replace("PATH", repr(compiled)))
    assert_refused(grader.grade(unit, source), source, SECRET)


# With the help of another process


CAT = {
    "subprocess": "import subprocess\nsubprocess.check_output(['cat', PATH])  # here",
    "system": "import os\nos.system('cat ' + PATH)  # here",
    "popen": "import os\nos.popen('cat ' + PATH).read()  # here",
    "execv": "import os\nos.execv('/bin/cat', ['cat', PATH])  # here",
    "posix_spawn": "import os\nos.posix_spawn('/bin/cat', ['cat', PATH], {})  # here",
    "spawnv": "import os\nos.spawnv(os.P_WAIT, '/bin/cat', ['cat', PATH])  # here",
    "pty": "import os, pty\npty.spawn(['cat', PATH])  # here",
}


@pytest.mark.parametrize("code", some(CAT, "subprocess", "system"))
@pytest.mark.parametrize("processes", [0, 4])
def test_another_process_may_not_read_it_either(code: str, processes: int, grader: Grader, unit: Unit):
    unit = dataclasses.replace(unit, limits=dataclasses.replace(unit.limits, processes=processes))
    source = inside(code.replace("PATH", repr(str(unit.implementation))))
    verdict = grader.grade(unit, source)
    assert_refused(verdict, source, "starts another process" if not processes else "reads the unit's own files")


# Through the stack


OTHERS = {
    "its own unit": "from groundup.stack.bedrock.sums import total as ready  # here",
    "its own module": "import groundup.stack.bedrock.sums.sums as ready  # here",
    "its own mistakes": "from groundup.stack.bedrock.sums.mistakes import with_python  # here",
    "a later unit": "from groundup.stack.bedrock.means import mean  # here",
    "a later unit, late": "import importlib\nimportlib.import_module('groundup.stack.bedrock.' + 'means')  # here",
    "a later unit, relatively": "from ..means import mean  # here",
    "a later unit, relatively and late": "import importlib\n"
    "importlib.import_module('..me' + 'ans', __package__)  # here",
    "a later unit of the release": "exec('import groundup.stack.deep.' + 'mlp')  # here",
    "a later unit as a script": "import runpy\nrunpy.run_module('groundup.stack.bedrock.means.' + 'means')  # here",
    "a later unit by its path": f"open({str(MEANS / 'means.py')!r})  # here",
    "a later unit by its spec": "import importlib.util as u\n"
    f"spec = u.spec_from_file_location('other', {str(MEANS / 'means.py')!r})\n"
    "spec.loader.exec_module(u.module_from_spec(spec))  # here",
    "the course": "__import__('groundup.cour' + 'se.exercise')  # here",
}


@pytest.mark.parametrize("code", OTHERS.values(), ids=OTHERS)
def test_only_units_that_this_one_builds_on_can_be_used(code: str, grader: Grader, unit: Unit):
    source = inside(code)
    assert_refused(grader.grade(unit, source), source, "your code ")


def test_a_unit_that_this_one_builds_on_can_be_used_in_every_way(grader: Grader):
    means = load_unit(MEANS)
    source = means.implementation.read_text(encoding="utf-8").replace(
        "def mean(",
        "import importlib, inspect\nimportlib.import_module('groundup.stack.bedrock.' + 'sums')\n"
        f"inspect.getsource(total)\nopen({str(SUMS / 'sums.py')!r}).close()\n\n\ndef mean(",
    )
    verdict = grader.grade(means, source)
    assert verdict.verdict == "passed", verdict


def test_a_unit_that_was_never_imported_before_can_be_used(copied: Unit, grader: Grader):
    """Python would write down what it has compiled, beside the unit and on the submission's behalf."""
    means = load_unit(copied.folder.parent / "means")
    verdict = grader.grade(means, means.implementation.read_text(encoding="utf-8"))
    assert verdict.verdict == "passed", verdict


def test_ones_own_source_can_be_had(grader: Grader, unit: Unit):
    assert grader.grade(unit, inside("import inspect\nassert 'def total' in inspect.getsource(total)")).passed
    assert grader.grade(unit, inside("assert 'def total' in open(__file__).read()")).passed


# Changing files that are not the submission's


@pytest.fixture
def copied(tmp_path: Path) -> Unit:
    """The unit in a stack of its own: an attack that gets through destroys that only."""
    shutil.copytree(STACK, tmp_path / "copy", ignore=shutil.ignore_patterns("__pycache__"))
    return load_unit(tmp_path / "copy" / "bedrock" / "sums")


CHANGES = {
    "open": "open(PATH, 'w')  # here",
    "open to append": "open(PATH, 'a')  # here",
    "os.open": "import os\nos.open(PATH, os.O_WRONLY | os.O_TRUNC)  # here",
    "remove": "import os\nos.remove(PATH)  # here",
    "rename": "import os\nos.rename(PATH, 'mine.py')  # here",
    "replace": "import os\nopen('mine.py', 'w').close()\nos.replace('mine.py', PATH)  # here",
    "truncate": "import os\nos.truncate(PATH, 0)  # here",
    "chmod": "import os\nos.chmod(PATH, 0)  # here",
    "utime": "import os\nos.utime(PATH)  # here",
    "mkdir": "import os\nos.mkdir(PATH + '.d')  # here",
    "symlink": "import os\nos.symlink('x', PATH + '.link')  # here",
    "link": "import os\nopen('mine.py', 'w').close()\nos.link('mine.py', PATH + '.link')  # here",
    "rmtree": "import os, shutil\nshutil.rmtree(os.path.dirname(PATH))  # here",
    "move": "import os, shutil\nshutil.move(PATH, 'mine.py')  # here",
    "unlink": "import pathlib\npathlib.Path(PATH).unlink()  # here",
    "write_text": "import pathlib\npathlib.Path(PATH).with_name('new.py').write_text('')  # here",
    "sqlite": "import sqlite3\nsqlite3.connect(PATH + '.db')  # here",
    "np.save": "np.save(PATH + '.npy', np.zeros(1))  # here",
    "through a link": "import os\nos.symlink(os.path.dirname(PATH), 'folder')\nopen('folder/new.py', 'w')  # here",
}


@pytest.mark.parametrize("code", some(CHANGES, "open", "remove", "rename", "rmtree", "np.save", "through a link"))
def test_files_outside_the_run_cannot_be_changed(code: str, copied: Unit, grader: Grader):
    def listing() -> dict[Path, bytes]:
        return {p: p.read_bytes() for p in copied.folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts}

    before = listing()
    source = inside(code.replace("PATH", repr(str(copied.implementation))))
    assert_refused(grader.grade(copied, source), source, "your code ")
    assert listing() == before


@pytest.mark.parametrize("code", ["import os\nos.remove(__file__)  # here", "open(__file__, 'w')  # here"])
def test_its_own_file_cannot_be_changed(code: str, grader: Grader, unit: Unit):
    source = inside(code)
    assert_refused(grader.grade(unit, source), source, "It may create and change its own files, in the current folder.")


@pytest.mark.skipif(not os.path.isdir(limits.IN_MEMORY), reason="files do not lie in memory here")
def test_files_of_another_run_cannot_be_changed(grader: Grader, unit: Unit):
    folder = Path(tempfile.mkdtemp(prefix=limits.FOLDER, dir="/dev/shm"))
    try:
        source = inside(f"open({str(folder / 'a')!r}, 'w')  # here")
        assert_refused(grader.grade(unit, source), source, "It may create and change its own files")
        assert list(folder.iterdir()) == []
    finally:
        folder.rmdir()


def test_files_of_its_own_can_be_made_and_changed(grader: Grader, unit: Unit):
    code = """
    import os, pathlib, shutil, tempfile
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "a").write_text("a")
        os.rename(f"{folder}/a", f"{folder}/b")
    os.makedirs("deep/er", exist_ok=True)
    np.save("deep/er/array.npy", np.zeros(3))
    np.load("deep/er/array.npy")
    shutil.copytree("deep", "copy")
    shutil.rmtree("copy")
    shutil.rmtree("deep")
    open(os.devnull, "w").close()
    """
    verdict = grader.grade(unit, inside(code))
    assert verdict.verdict == "passed", verdict
