"""Checks of containers: Dockerfiles, keys, layers and stacks, all in memory."""

import gzip
import hashlib
import io
import json
import math
import tarfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.checking import assert_refuses, assert_unchanged
from groundup.stack.production.containers import (
    Instruction,
    Node,
    Run,
    apply,
    build_image,
    cache_keys,
    chain_ids,
    command,
    diff,
    digest,
    ignored,
    interpolate,
    key_of,
    merge,
    pack,
    parse,
    sources,
    start_times,
    unpack,
)

FOLDER = Node("dir", mode=0o755)
DOCKERFILE = r"""# syntax is a comment here
ARG PYTHON=3.12
FROM python:${PYTHON}-slim AS build

RUN pip install uv && \
    # in between

    uv sync
copy --chown=1:2 --link pyproject.toml ./
CMD ["serve", "--port", "80"]
"""


def same(actual, expected, message):
    """Fail with `message` unless both are equal."""
    assert actual == expected, f"{message}\n  expected {expected!r}\n  got      {actual!r}"


def file(text, mode=0o644):
    """A file."""
    return Node("file", text.encode(), mode)


# parse


def test_parse_by_hand():
    """Comments, a line that goes on, flags, exec form, small letters, and the first line of each."""
    same(
        parse(DOCKERFILE),
        [
            Instruction("ARG", {}, None, "PYTHON=3.12", 2),
            Instruction("FROM", {}, None, "python:${PYTHON}-slim AS build", 3),
            Instruction("RUN", {}, None, "pip install uv &&     uv sync", 5),
            Instruction("COPY", {"chown": "1:2", "link": ""}, None, "pyproject.toml ./", 9),
            Instruction("CMD", {}, ["serve", "--port", "80"], '["serve", "--port", "80"]', 10),
        ],
        "the instructions",
    )
    same(parse(""), [], "an empty file")
    same(parse("\n# only\n"), [], "a comment alone")


def test_a_line_goes_on():
    """A backslash may be followed by blanks, and the last line may be cut off; a backslash elsewhere is a letter."""
    head = "FROM a\n"
    same(
        [i.text for i in parse(head + "RUN x \\ \t\n  y\nRUN z\\\n")],
        ["a", "x   y", "z"],
        "blanks behind it, and the end",
    )
    same([i.text for i in parse(head + "RUN a\\b \\c\nRUN d")], ["a", "a\\b \\c", "d"], "in the middle of a line")
    same(
        [(i.text, i.line) for i in parse("\\\nFROM a \\\n\\\n b\n\nUSER\tc")],
        [("a  b", 2), ("c", 6)],
        "lone backslashes, and a tab",
    )
    blanks = parse(head + "RUN a \\\n \t \n b\n  \nRUN c\n \\\n")
    same([i.text for i in blanks], ["a", "a  b", "c"], "lines of blanks, and a last one that only goes on")
    same([i.text for i in parse(head + "RUN echo # no comment")], ["a", "echo # no comment"], "a # in a line")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('RUN ["a", "b c"]', ["a", "b c"]),
        ("RUN ['a', 'b']", None),
        ("RUN [ -f x ] && y", None),
        ('RUN ["a", 1]', None),
        ('RUN "a"', None),
        ("RUN [] ", []),
        ('ENTRYPOINT ["x"]', ["x"]),
        ('CMD ["x"]', ["x"]),
        ('COPY --from=b ["a b", "/"]', ["a b", "/"]),
        ('ADD ["a", "/"]', ["a", "/"]),
        ('VOLUME ["/data"]', ["/data"]),
        ('SHELL ["/bin/bash", "-c"]', ["/bin/bash", "-c"]),
        ('LABEL ["x"]', None),
        ("CMD serve --port 80", None),
    ],
)
def test_exec_form_is_a_json_list_of_strings(line, words):
    """Anything else is a line of the shell, and some instructions have no exec form."""
    same(parse("FROM a\n" + line)[1].words, words, line)


def test_parse_refuses_what_is_no_dockerfile():
    """An unknown instruction and one without text, with their lines; and a file that does not begin with FROM."""
    for text, name, line in (
        ("FROM a\n\nRUNN x", "RUNN", 3),
        ("FROM a\nUSER", "USER", 2),
        ("FROM a\nCOPY --link", "COPY", 2),
    ):
        assert_refuses(lambda text=text: parse(text), name, line)
    for text in ("RUN x", "USER x\nFROM a"):
        assert_refuses(lambda text=text: parse(text), "FROM", text.split()[0])


# interpolate and command, which are given


def test_interpolate_as_compose_does():
    """Every operator, with the variable set, empty and unset; nested defaults; a doubled dollar."""
    env = {"SET": "s", "EMPTY": ""}
    for text, value in {
        "$SET-${SET}": "s-s", "$NO.": ".", "${SET:-d}${SET-d}": "ss", "${EMPTY:-d}|${EMPTY-d}": "d|",
        "${NO:-d}${NO-d}": "dd",
        "${NO:-${EMPTY:-${SET}}}x": "sx", "$$SET $${SET}": "$SET ${SET}", "${SET:+o}${EMPTY:+o}${EMPTY+p}${NO+o}": "op",
        "${SET:?e}${SET?e}": "ss", "none": "none",
    }.items():  # fmt: skip
        same(interpolate(text, env), value, text)
    for text in ("${EMPTY:?say why}", "${NO?say why}"):
        assert_refuses(lambda text=text: interpolate(text, env), "must be set", "say why")
    for text in ("${SET", "5 $", "${SET/a/b}"):
        assert_refuses(lambda text=text: interpolate(text, env))


def test_what_a_container_runs():
    """Exec forms are joined, arguments replace CMD, and a shell's ENTRYPOINT takes none."""
    for lines, arguments, words in (
        (['ENTRYPOINT ["a"]', 'CMD ["b"]'], [], ["a", "b"]),
        (['ENTRYPOINT ["a"]', 'CMD ["b"]'], ["c"], ["a", "c"]),
        (["CMD a b"], [], ["/bin/sh", "-c", "a b"]),
        (["ENTRYPOINT a", 'CMD ["b"]'], ["c"], ["/bin/sh", "-c", "a"]),
        (['CMD ["a"]', 'CMD ["b"]'], [], ["b"]),
        ([], ["c"], ["c"]),
    ):
        same(command(parse("\n".join(["FROM x", *lines])), arguments), words, f"{lines} with {arguments}")
    build = 'FROM x AS build\nENTRYPOINT ["make"]\n'
    same(command(parse(build + 'FROM y\nCMD ["z"]')), ["z"], "what an earlier stage runs is no affair of the last one")
    same(command(parse(build + "FROM build")), ["make"], "unless it begins from that stage")


# ignored


@pytest.mark.parametrize(
    ("patterns", "path", "result"),
    [
        ("*.md", "README.md", True),
        ("*.md", "docs/README.md", False),
        ("**/*.md", "docs/a/README.md", True),
        ("**/*.md", "README.md", True),
        ("docs", "docs/a/b.txt", True),
        ("docs", "docs2/a", False),
        ("docs", "src/docs", False),
        ("docs/**", "docs", False),
        ("docs/**", "docs/a/b", True),
        ("/docs", "docs/a", True),
        ("docs/", "docs/a", True),
        ("./docs//a", "docs/a", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("a[b-d]e", "ace", True),
        ("a[^b-d]e", "ace", False),
        ("a.c", "abc", False),
        (r"a\*b", "a*b", True),
        (r"a\*b", "axb", False),
        ("a**/*.txt", "a/b/c.txt", True),
        ("*", ".git", True),
        ("*.md !README.md", "README.md", False),
        ("!README.md *.md", "README.md", True),
        ("** !src", "src/a.py", False),
        ("** !src src/secret", "src/secret/key", True),
        ("docs/* !docs/README.md", "docs/README.md", False),
        ("# *", "a", False),
        ("", "a", False),
        ("#a b", "#a", False),
        ("!a", "a", False),
        ("/ . ! ./", "a", False),
    ],
)
def test_ignored_as_docker_does(patterns, path, result):
    """The cases of Docker's own matcher: anchored at the root, folders with all below, the last one decides."""
    lines = ["# *"] if patterns == "# *" else patterns.split(" ")
    same(ignored(lines, path), result, f"{lines} on {path}")


def test_ignored_lines_have_blanks():
    """Blanks around a pattern, and behind the exclamation mark, do not count; no lines ignore nothing."""
    same(ignored(["  *.md \t"], "a.md"), True, "blanks around")
    same(ignored(["*.md", " ! a.md "], "a.md"), False, "blanks behind the mark")
    same(ignored(["*.md", "   ", "# !a.md", "!b.md"], "a.md"), True, "lines that say nothing")
    same(ignored([], "a"), False, "no lines")
    same(ignored(iter(["*.md", "!a.md"]), "a.md"), False, "lines of an iterator")


# cache_keys

FILES = {"requirements.txt": b"numpy\n", "src/app.py": b"run()\n", "src/model.py": b"fit()\n", "README.md": b"# app\n"}
STEPS = """FROM python:3.12
WORKDIR /app
COPY requirements.txt ./
RUN pip install -r requirements.txt
COPY src ./src
RUN python -m compileall src
"""


def rebuilt(text, files=FILES, *, after=None, then=None, arguments=None, now=None):
    """The places of the steps whose keys change from one build to the next."""
    before = cache_keys(parse(text), files, arguments)
    later = cache_keys(parse(text if then is None else then), files if after is None else after, now or arguments)
    return [place for place, key in enumerate(later) if key not in before]


def test_cache_keys_by_hand():
    """Each key is that of a list: the key before, the name, the text, and for a COPY the files."""

    def key(*parts):
        return hashlib.sha256(json.dumps(list(parts)).encode()).hexdigest()

    digests = [f"{name}={hashlib.sha256(FILES[name]).hexdigest()}" for name in ("src/app.py", "src/model.py")]
    first = key("", "FROM", "python:3.12")
    second = key(first, "COPY", "chown=1", "link=", "src ./", *digests)
    third = key(second, "ARG", "LEVEL=2")
    fourth = key(third, "ARG", "A")
    fifth = key(fourth, "RUN", "make $LEVEL", "A=x", "LEVEL=2")
    steps = parse("FROM python:3.12\nCOPY --link --chown=1 src ./\nARG LEVEL=2\nARG A\nRUN make $LEVEL")
    same(cache_keys(steps, FILES, {"A": "x", "B": "y"}), [first, second, third, fourth, fifth], "the keys")
    same(cache_keys([], FILES), [], "no steps")


def test_a_change_runs_its_step_and_all_after_it_again():
    """Code comes late: changing it leaves the installation alone. What no step copies changes nothing."""
    same(rebuilt(STEPS), [], "nothing changed")
    same(rebuilt(STEPS, after={**FILES, "README.md": b"new"}), [], "a file that is not copied")
    same(rebuilt(STEPS, after={**FILES, "src/app.py": b"new"}), [4, 5], "code")
    same(rebuilt(STEPS, after={**FILES, "requirements.txt": b"torch"}), [2, 3, 4, 5], "requirements")
    same(rebuilt(STEPS, after={**FILES, "src/new.py": b""}), [4, 5], "a new file")
    renamed = {("src/b.py" if name == "src/app.py" else name): data for name, data in FILES.items()}
    same(rebuilt(STEPS, after=renamed), [4, 5], "a file with another name")
    same(rebuilt(STEPS, after=dict(reversed(FILES.items()))), [], "the files in another order")
    same(rebuilt(STEPS, then="# new\n" + STEPS.replace("/app\n", "/app\n\n")), [], "comments and empty lines")
    same(rebuilt(STEPS, then=STEPS.replace("/app", "/srv")), [1, 2, 3, 4, 5], "the text of a step")
    swapped = rebuilt("FROM a\nUSER x\nUSER y", then="FROM a\nUSER y\nUSER x")
    same(swapped, [1, 2], "the same steps in another order")


def test_copy_all_depends_on_all():
    """`COPY . .` before the installation installs anew for every change; ADD and the exec form are read as well."""
    for line in ("COPY . .", "ADD . .", 'COPY [".", "."]', "COPY ./ /app/"):
        text = f"FROM a\n{line}\nRUN pip install"
        same(rebuilt(text, after={**FILES, "README.md": b"new"}), [1, 2], line)
    one = "FROM a\nADD src/*.py README.md /x/\nRUN b"
    same(rebuilt(one, after={**FILES, "requirements.txt": b"new"}), [], "a file that no pattern finds")
    same(rebuilt(one, after={**FILES, "src/app.py": b"new"}), [1, 2], "a file that a pattern finds")
    named = "FROM a\nLABEL src x\nUSER README.md\nRUN b"
    same(rebuilt(named, after={**FILES, "src/app.py": b"new", "README.md": b"new"}), [], "names that are not copied")
    same(sources(["src/m*", "README.md", "/x"], FILES), ["README.md", "src/model.py"], "the files of two words")


def test_variables_count_where_they_are_used():
    """An ARG counts from the next RUN on, an ENV at once; a text has the variable's value, but not that of RUN."""
    text = "FROM a\nARG V=1\nUSER u\nRUN make\nUSER v"
    same(rebuilt(text, arguments={"V": "1"}), [], "the default, given")
    same(rebuilt(text, arguments={}, now={"V": "2"}), [3, 4], "another value: from RUN on")
    same(rebuilt(text, arguments={}, now={"W": "2"}), [], "a value that nobody declared")
    same(rebuilt("FROM a\nARG V=1\nUSER u$V\nRUN b", arguments={}, now={"V": "2"}), [2, 3], "in a text")
    same(rebuilt("FROM a\nENV V=1\nRUN b", then="FROM a\nENV V=2\nRUN b"), [1, 2], "an ENV")
    same(
        cache_keys(parse("FROM a\nRUN echo ${V:-1}"), {})[1] == cache_keys(parse("FROM a\nRUN echo 1"), {})[1],
        False,
        "RUN's own",
    )
    same(cache_keys(parse("FROM a\nCMD $X"), {})[1] == cache_keys(parse('FROM a\nCMD ""'), {})[1], False, "CMD's own")
    hidden = "FROM a\nENV V=1\nARG V=2\nUSER $V"
    same(rebuilt(hidden, arguments={}, now={"V": "3"}), [], "ENV goes before ARG in a text")
    keys = cache_keys(parse("FROM a\nENV V=1\nENV W=2\nUSER $V$W"), {})
    same(keys[3], key_of(keys[2], ["USER", "12"]), "two ENVs")
    spaced = cache_keys(parse('FROM a\nENV V="x y" W=z\nCOPY src /$W'), FILES)[2]
    same(
        spaced != cache_keys(parse('FROM a\nENV V="x y" W=z\nCOPY src /'), FILES)[2],
        True,
        "the second variable of an ENV",
    )


def test_each_stage_is_a_chain_of_its_own():
    """A stage that nothing changes keeps its keys; one that copies from another, or begins with it, follows it."""
    text = (
        "ARG TAG=1\nFROM a:$TAG AS build\nCOPY src .\nRUN make\nFROM b\nUSER u\nCOPY --from=build /x /x\n"
        "FROM build\nUSER v\nFROM c as other\nCOPY --from=nginx /a /a\nCOPY --from=1 /x /x\nARG TAG\nRUN $TAG"
    )
    same(rebuilt(text, after={**FILES, "src/app.py": b"new"}), [2, 3, 6, 7, 8, 11, 12, 13], "code of the first stage")
    same(rebuilt(text, arguments={}, now={"TAG": "2"}), [1, 2, 3, 6, 7, 8, 11, 12, 13], "an ARG before FROM")
    one = cache_keys(parse("FROM a AS x\nARG V=1\nFROM a\nRUN b"), {})[3]
    same(one, cache_keys(parse("FROM a\nRUN b"), {})[1], "an ARG of another stage")
    same(
        rebuilt("FROM a AS x\nENV V=1\nFROM b\nUSER u$V", then="FROM a AS x\nENV V=2\nFROM b\nUSER u$V"), [1], "its ENV"
    )
    pair = [
        cache_keys(parse(f"ARG V=1\nFROM a\n{line}\nRUN b"), {})[3] for line in ("ARG V", "ARG V=1", "ARG V=2", "ARG W")
    ]
    keys = [cache_keys(parse(f"ARG V=1\nFROM a\nARG V\nRUN b {n}"), {}, {"V": n})[2] for n in "12"]
    same((len(set(pair)), len(set(keys))), (4, 1), "how an ARG is declared; and its declaration has no value")


# diff and apply

LOWER = {
    "etc": FOLDER, "etc/my-app-config": file("a=1"), "bin": FOLDER, "bin/my-app-binary": file("x", 0o755),
    "bin/my-app-tools": file("y", 0o755),
}  # fmt: skip
UPPER = {
    "etc": FOLDER, "etc/my-app.d": FOLDER, "etc/my-app.d/default.cfg": file("b=2"), "bin": FOLDER,
    "bin/my-app-binary": file("x", 0o755), "bin/my-app-tools": file("z", 0o755),
}  # fmt: skip


def test_the_specifications_example():
    """Added: my-app.d and its file; changed: my-app-tools; gone: my-app-config."""
    layer = diff(LOWER, UPPER)
    same(
        layer,
        {"etc/my-app.d": FOLDER, "etc/my-app.d/default.cfg": file("b=2"), "bin/my-app-tools": file("z", 0o755),
         "etc/.wh.my-app-config": Node("file")},
        "the layer",
    )  # fmt: skip
    same(apply(LOWER, layer), UPPER, "the tree after it")
    assert_unchanged(lambda lower: diff(lower, UPPER), dict(LOWER))
    assert_unchanged(lambda lower: apply(lower, layer), dict(LOWER))
    same(diff(UPPER, UPPER), {}, "no change")


def test_one_whiteout_hides_a_folder():
    """A folder that is gone has one whiteout; so has a path at the root; a changed mode is a change."""
    lower = {"a": FOLDER, "a/b": FOLDER, "a/b/c": file("1"), "a/d": file("2"), "e": file("3")}
    same(
        diff(lower, {"a": FOLDER}),
        {"a/.wh.b": Node("file"), "a/.wh.d": Node("file"), ".wh.e": Node("file")},
        "three gone",
    )
    same(diff(lower, {"e": file("3")}), {".wh.a": Node("file")}, "a folder with all below")
    same(diff({"e": file("3")}, {"e": file("3", 0o600)}), {"e": file("3", 0o600)}, "another mode")
    same(diff(lower, {"a": file("x"), "e": file("3")}), {"a": file("x")}, "a folder that became a file")
    same(diff({"a": FOLDER, "a/b": file("1")}, {"a": Node("link", b"e")}), {"a": Node("link", b"e")}, "and a link")


def test_a_name_must_not_look_like_a_whiteout():
    """Such a name is refused, wherever it stands; `.whx` is none."""
    for path in (".wh.a", "a/.wh.b", "a/.wh..wh..opq"):
        assert_refuses(lambda path=path: diff({}, {"a": FOLDER, path: file("")}), path)
    same(diff({}, {".whx": file(""), "a.wh.b": file("")}), {".whx": file(""), "a.wh.b": file("")}, "other names")


def test_an_opaque_whiteout_hides_all_below():
    """The specification's second example: a/b is made anew, in whatever order the entries come."""
    lower = {"a": FOLDER, "a/b": FOLDER, "a/b/c": FOLDER, "a/b/c/bar": file("1"), "ab": file("2")}
    layer = {"a": FOLDER, "a/.wh..wh..opq": Node("file"), "a/b": FOLDER, "a/b/c": FOLDER, "a/b/c/foo": file("3")}
    expected = {"a": FOLDER, "a/b": FOLDER, "a/b/c": FOLDER, "a/b/c/foo": file("3"), "ab": file("2")}
    same(apply(lower, layer), expected, "as it stands")
    same(apply(lower, dict(reversed(layer.items()))), expected, "backwards")
    same(apply(lower, {".wh..wh..opq": Node("file")}), {}, "at the root")
    same(apply(lower, {"a/.wh..wh..opq": Node("file")}), {"a": FOLDER, "ab": file("2")}, "the folder itself stays")


def test_a_whiteout_hides_what_is_below_the_layer_only():
    """A path of the same layer stays, and a whiteout for what is not there does nothing."""
    lower = {"a": FOLDER, "a/b": FOLDER, "a/b/x": file("1"), "a/bc": file("2")}
    layer = {"a/b": FOLDER, "a/b/y": file("3"), "a/.wh.b": Node("file"), ".wh.none": Node("file")}
    for entries in (layer, dict(reversed(layer.items()))):
        same(apply(lower, entries), {"a": FOLDER, "a/b": FOLDER, "a/b/y": file("3"), "a/bc": file("2")}, "made anew")
    same(apply(lower, {".wh.a": Node("file")}), {}, "a folder with all below")


def test_a_node_takes_its_place():
    """A folder over a folder keeps what is in it; any other pair replaces it with all below; folders above are made."""
    lower = {"a": FOLDER, "a/b": file("1"), "c": file("2")}
    closed = Node("dir", mode=0o700)
    same(apply(lower, {"a": closed}), {"a": closed, "a/b": file("1"), "c": file("2")}, "a folder's mode")
    same(apply(lower, {"a": file("3")}), {"a": file("3"), "c": file("2")}, "a file over a folder")
    same(apply(lower, {"c": closed, "c/d": file("4")})["c/d"], file("4"), "a folder over a file")
    same(apply(lower, {"c/d/e": file("5")}), {**lower, "c": FOLDER, "c/d": FOLDER, "c/d/e": file("5")}, "folders above")
    both = {"a": file("1"), "a/b": file("2")}
    for layer in (both, dict(reversed(both.items()))):
        same(apply({}, layer), {"a": FOLDER, "a/b": file("2")}, "a file and what is below it, in one layer")
    same(apply({}, {"a": Node("link", b"b")}), {"a": Node("link", b"b")}, "a link")
    same(apply({}, {"c": closed, "c/d": file("6")}), {"c": closed, "c/d": file("6")}, "a folder's own mode is kept")


def test_a_layer_cannot_write_outside():
    """A path that is absolute or goes up is refused, also in a whiteout."""
    for path in ("/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a/./b", "a/..", "a/../.wh.b"):
        assert_refuses(lambda path=path: apply({}, {path: file("")}), path)
    same(apply({}, {"a..b": file(""), "...": file("")}), {"a..b": file(""), "...": file("")}, "dots in a name")


NAMES = st.sampled_from(["a", "b", "a/a", "a/b", "b/a", "a/a/a", "a/a/b"])
NODES = st.sampled_from([FOLDER, file("1"), file("2"), Node("link", b"a"), Node("dir", mode=0o700)])


@given(st.dictionaries(NAMES, NODES), st.dictionaries(NAMES, NODES))
def test_apply_undoes_diff(first, second):
    """For any two trees, the layer between them makes the second of the first."""
    lower, upper = apply({}, first), apply({}, second)
    assert apply(lower, diff(lower, upper)) == upper


# tars and images, which are given


def test_a_tar_depends_on_its_nodes_only():
    """The same nodes in another order give the same bytes, which tarfile reads, without times and owners."""
    tree = {**UPPER, "etc/.wh.old": Node("file"), "l": Node("link", b"bin")}
    data = pack(tree)
    same(pack(dict(reversed(tree.items()))), data, "bytes in another order")
    same(unpack(data), tree, "what is read back")
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        entries = archive.getmembers()
    same({(e.mtime, e.uid, e.gid, e.uname, e.gname) for e in entries}, {(0, 0, 0, "", "")}, "times and owners")
    names = [entry.name for entry in entries]
    assert names.index("etc/.wh.old") < names.index("etc/my-app.d"), f"whiteouts first: {names}"
    same(digest(pack({})), "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef", "the empty layer")


def test_an_image_names_everything_by_its_content():
    """The config has the digests of the tars, the manifest those of the gzips, and the image that of the manifest."""
    image = build_image([LOWER, diff(LOWER, UPPER)], Entrypoint=["serve"])
    manifest = json.loads(image.blobs[image.digest])
    config = json.loads(image.blobs[manifest["config"]["digest"]])
    same([digest(blob) for blob in image.blobs.values()], list(image.blobs), "digests of the blobs")
    for part in [manifest["config"], *manifest["layers"]]:
        same(part["size"], len(image.blobs[part["digest"]]), "sizes")
    tars = [gzip.decompress(image.blobs[layer["digest"]]) for layer in manifest["layers"]]
    same(config["rootfs"], {"type": "layers", "diff_ids": [digest(tar) for tar in tars]}, "the tars' digests")
    same(
        (config["os"], config["architecture"], config["config"]),
        ("linux", "amd64", {"Entrypoint": ["serve"]}),
        "config",
    )
    tree: Any = {}
    for tar in tars:
        tree = apply(tree, unpack(tar))
    same(tree, UPPER, "the tree of the layers")
    same(build_image([LOWER, diff(LOWER, UPPER)], Entrypoint=["serve"]).digest, image.digest, "built again")
    one, two = config["rootfs"]["diff_ids"]
    same(chain_ids([one, two]), [one, f"sha256:{hashlib.sha256(f'{one} {two}'.encode()).hexdigest()}"], "the chain")


# compose


def service(*needs, condition="service_started", health=True):
    """A service that depends on others."""
    body: dict[str, Any] = {"image": "x"}
    if needs:
        body["depends_on"] = {name: {"condition": condition} for name in needs}
    return body | ({"healthcheck": {"test": ["CMD", "true"]}} if health else {})


def test_start_times_by_hand():
    """The database is healthy after 5 s, the migration then takes 3, and the API waits for both and for the cache."""
    services = {
        "api": {"depends_on": {"migrate": {"condition": "service_completed_successfully"},
                               "db": {"condition": "service_healthy"}, "cache": {"condition": "service_started"}}},
        "migrate": service("db", condition="service_healthy"),
        "db": service(),
        "cache": {},
        "page": {"depends_on": ["api", "cache"]},
    }  # fmt: skip
    runs = {"db": Run(healthy=5.0), "migrate": Run(ends=3.0), "cache": Run(healthy=60.0), "api": Run(healthy=2.0)}
    expected = {"api": 8.0, "migrate": 5.0, "db": 0.0, "cache": 0.0, "page": 8.0}
    same(start_times(services, runs), expected, "the starts")
    same(list(start_times(services, runs)), list(services), "in the order of the services")
    same(start_times({}, {}), {}, "no services")


def test_what_is_never_fulfilled_never_starts():
    """Never healthy, ended before it was healthy, ended with an error, never ended: infinite, also for those behind."""
    for condition, run, begun in (
        ("service_healthy", Run(), math.inf),
        ("service_healthy", Run(healthy=5.0, ends=4.0), math.inf),
        ("service_healthy", Run(healthy=4.0, ends=4.0), 4.0),
        ("service_healthy", Run(healthy=4.0, ends=5.0, code=1), 4.0),
        ("service_completed_successfully", Run(ends=3.0, code=1), math.inf),
        ("service_completed_successfully", Run(ends=3.0, code=-9), math.inf),
        ("service_completed_successfully", Run(healthy=1.0), math.inf),
        ("service_completed_successfully", Run(ends=3.0), 3.0),
        ("service_started", Run(ends=3.0, code=1), 0.0),
    ):
        services = {"a": service(), "b": service("a", condition=condition), "c": service("b"), "d": service()}
        expected = {"a": 0.0, "b": begun, "c": begun, "d": 0.0}
        same(start_times(services, {"a": run}), expected, f"{condition} of {run}")
    same(
        start_times({"a": service(), "b": service("a", condition="service_healthy")}, {})["b"], math.inf, "no run given"
    )


def test_a_circle_is_named():
    """All its names in order, from the first in the file, and none that only leads to it."""
    services = {
        "page": service("api"),
        "api": service("db"),
        "db": service("queue", "disk"),
        "queue": service("api"),
        "disk": service(),
    }
    assert_refuses(lambda: start_times(services, {}), "api → db → queue → api")
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        start_times(services, {})
    assert "page" not in str(caught.value), f"page is not in the circle; it said: {caught.value}"
    assert_refuses(lambda: start_times({"a": service("a")}, {}), "a → a")
    turned = {"x": service("b"), "a": service("b"), "b": service("a")}
    assert_refuses(lambda: start_times(turned, {}), "a → b → a")
    assert_refuses(lambda: start_times({"z": service("b"), "b": service("z")}, {}), "z → b → z")
    diamond = {"a": service("b", "c"), "b": service("d"), "c": service("d"), "d": service()}
    same(start_times(diamond, {}), dict.fromkeys("abcd", 0.0), "two ways to one service are no circle")


class Counting(dict):
    """Counts how often something is looked up."""

    looked = 0

    def __getitem__(self, name):
        """Count."""
        self.looked += 1
        return super().__getitem__(name)


def test_dependencies_are_followed_once():
    """Of fourteen rows of two services, each needs both of the next: the ways are many, the services 28."""
    rows = [service(f"a{k + 1}", f"b{k + 1}") for k in range(13)] + [service()]
    services = Counting({f"{side}{k}": body for k, body in enumerate(rows) for side in "ab"})
    same(start_times(services, {}), dict.fromkeys(services, 0.0), "the starts")
    assert services.looked < 50 * len(services), f"{services.looked} times a service was looked up"


def test_dependencies_that_cannot_be():
    """An unknown service, an unknown condition, and health without a health check are refused."""
    assert_refuses(lambda: start_times({"a": service("none")}, {}), "depends_on", "none")
    assert_refuses(
        lambda: start_times({"a": service("b", condition="ready"), "b": service()}, {}), "condition", "ready"
    )
    sick = {"a": service("b", condition="service_healthy"), "b": service(health=False)}
    assert_refuses(lambda: start_times(sick, {}), "healthcheck", "b")
    same(start_times({"a": service("b"), "b": service(health=False)}, {}), {"a": 0.0, "b": 0.0}, "started needs none")


def test_an_override_is_merged():
    """Mappings by key, lists appended, commands replaced, one volume for each place."""
    base = {"services": {"api": {"image": "a", "command": ["x"], "ports": ["80:80"], "environment": ["A=1", "B"],
                                 "volumes": ["one:/data", "two:/tmp"], "depends_on": ["db"]}}}  # fmt: skip
    over = {"services": {"api": {"image": "b", "command": ["y"], "ports": ["81:81"], "environment": {"A": "2"},
                                 "volumes": ["three:/data"], "depends_on": {"db": {"condition": "service_healthy"}}},
                         "db": {}}}  # fmt: skip
    expected = {"image": "b", "command": ["y"], "ports": ["80:80", "81:81"], "environment": {"A": "2", "B": None},
                "volumes": ["two:/tmp", "three:/data"], "depends_on": {"db": {"condition": "service_healthy"}},
                }  # fmt: skip
    same(merge(base, over), {"services": {"api": expected, "db": {}}}, "the stack")
