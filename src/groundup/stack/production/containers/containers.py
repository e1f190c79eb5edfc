"""Containers without an engine: a Dockerfile read, the cache's keys, layers and images, and a stack that starts.

    steps = parse(Path("Dockerfile").read_text())
    keys = cache_keys(steps, files)                      # which steps a change runs again
    layer = diff(before, after)                          # what a step has changed, with whiteouts
    image = build_image([base, layer], entrypoint=["serve"])
    start_times(services, runs)                          # when each service of a compose file starts

A file tree is a dict from paths, such as `etc/hosts`, to nodes; the root itself is not in it. Sources: the Dockerfile
reference, the OCI image specification and the Compose specification. Not covered: heredocs, `# escape=`, ONBUILD's
effect, hard links, owners, devices.
"""

import gzip
import hashlib
import io
import json
import math
import re
import shlex
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Literal, NamedTuple

INSTRUCTIONS = frozenset(
    "ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL ONBUILD RUN SHELL STOPSIGNAL USER VOLUME"
    " WORKDIR".split()
)
EXEC = frozenset({"RUN", "CMD", "ENTRYPOINT", "COPY", "ADD", "VOLUME", "SHELL"})  # may be written as a JSON list
BY_THE_SHELL = frozenset(
    {"RUN", "CMD", "ENTRYPOINT", "HEALTHCHECK"}
)  # variables in them are the shell's, when they run
WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
CONDITIONS = ("service_started", "service_healthy", "service_completed_successfully")


class Instruction(NamedTuple):
    """One instruction: its name in capitals, its flags, its words if it is in exec form, its text, its first line."""

    name: str
    flags: dict[str, str]
    words: list[str] | None
    text: str
    line: int


class Node(NamedTuple):
    """A file, a folder or a symbolic link, whose data is its target."""

    kind: Literal["file", "dir", "link"]
    data: bytes = b""
    mode: int = 0o644


Tree = dict[str, Node]


class Run(NamedTuple):
    """How a container behaves: seconds from its start until it is healthy and until it ends, and its exit code."""

    healthy: float = math.inf
    ends: float = math.inf
    code: int = 0


class Image(NamedTuple):
    """The digest of a manifest, and all blobs by their digests: the manifest, the config, the layers."""

    digest: str
    blobs: dict[str, bytes]


# --- the Dockerfile -------------------------------------------------------------------------------------------------


def parse(text: str) -> list[Instruction]:
    r"""Read a Dockerfile.

    A line whose first character that is no blank is `#` is a comment, also between the lines of one instruction. A line
    that ends in a backslash, which blanks may follow, goes on in the next one; the backslash and all after it are left
    out, and empty lines in between are passed over. Nothing else is changed in a text, but the blanks around it. An
    instruction that the file's end cuts off ends there; its name may be written in small letters.

    Flags stand first, as `--name=value` or `--name`, whose value is "". What follows, of an instruction in `EXEC`, is
    in exec form if it is a JSON list of strings; anything else is in shell form, also a list that is no JSON.

    Raises:
        ValueError: an instruction that is not in `INSTRUCTIONS` or that has no text, with its line; or a file whose
            first instruction is neither FROM nor ARG.
    """
    instructions: list[Instruction] = []
    whole, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        first = first if whole else number
        body = re.sub(r"\\[ \t]*$", "", line)
        whole += body
        if body == line:
            instructions.append(_instruction(whole, first))
            whole = ""
    if whole.strip():
        instructions.append(_instruction(whole, first))
    if instructions and instructions[0].name not in {"FROM", "ARG"}:
        raise ValueError(f"A Dockerfile begins with FROM or ARG, not with {instructions[0].name}.")
    return instructions


def _instruction(line: str, number: int) -> Instruction:
    """Take an instruction apart."""
    name, text = [*line.split(None, 1), ""][:2]
    flags: dict[str, str] = {}
    while match := re.match(r"--([\w-]+)(?:=(\S*))?(?:\s+|$)", text):
        flags[match[1]] = match[2] or ""
        text = text[match.end() :]
    if name.upper() not in INSTRUCTIONS:
        raise ValueError(f"Line {number}: {name} is no instruction of a Dockerfile.")
    if not text.strip():
        raise ValueError(f"Line {number}: {name.upper()} needs something behind it.")
    words = _exec_form(text) if name.upper() in EXEC else None
    return Instruction(name.upper(), flags, words, text.strip(), number)


def _exec_form(text: str) -> list[str] | None:
    try:
        words = json.loads(text)
    except ValueError:
        return None
    return words if isinstance(words, list) and all(isinstance(word, str) for word in words) else None


def interpolate(text: str, environment: Mapping[str, str]) -> str:
    """Put variables in, as Compose does: `$A`, `${A}`, `${A:-default}`, `${A:?error}`, `${A:+other}`; `$$` is a dollar.

    Defaults may hold variables. With the colon an empty variable counts as unset, without it only an unset one does.
    A variable that is unset and has no default is "".

    Raises:
        ValueError: a variable that must be set is not, with its message; a dollar that begins no variable; no brace
            that closes.
    """
    result, at = "", 0
    while (dollar := text.find("$", at)) >= 0:
        result, at = result + text[at:dollar], dollar
        match = re.compile(r"\$(?:(\$)|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(:?[-?+])?)").match(text, at)
        if match is None:
            raise ValueError(f"A dollar begins no variable in {text!r}. Write $$ for a dollar.")
        at = match.end()
        dollar_sign, plain, name, operator = match.groups()
        if dollar_sign or plain:
            result += dollar_sign or environment.get(plain, "")
            continue
        end = _closing(text, at)
        if operator is None and end != at:
            raise ValueError(f"{text[dollar : end + 1]} is no variable that Compose knows.")
        result, at = result + _chosen(name, operator, text[at:end], environment), end + 1
    return result + text[at:]


def _closing(text: str, at: int) -> int:
    """Where the brace closes that was opened before `at`."""
    depth = 1
    for place in range(at, len(text)):
        depth += (text[place] == "{" and text[place - 1] == "$") - (text[place] == "}")
        if depth == 0:
            return place
    raise ValueError(f"A brace does not close in {text!r}.")


def _chosen(name: str, operator: str | None, other: str, environment: Mapping[str, str]) -> str:
    """The value of a variable under an operator of the shell."""
    value = environment.get(name)
    kind = (operator or "-")[-1]
    there = value is not None and (value != "" or operator is None or not operator.startswith(":"))
    if kind == "+":
        return interpolate(other, environment) if there else ""
    if there:
        return value or ""
    if kind == "?":
        raise ValueError(f"{name} must be set: {interpolate(other, environment)}")
    return interpolate(other, environment)


def ignored(patterns: Iterable[str], path: str) -> bool:
    """Say whether a `.dockerignore` keeps a file or folder out of the build.

    Blanks around a pattern do not count; empty ones and comments, which begin with `#`, say nothing. A pattern that
    begins with `!` takes back what those before it say. The last one that matches decides. A pattern matches a path if
    `glob` of it matches the path or one of the folders above it. Patterns begin at the root: a slash at their beginning
    or end, a `./` before them and doubled slashes change nothing.

    Args:
        patterns: the lines.
        path: relative, with slashes.
    """
    parts = path.split("/")
    above = ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]
    result = False
    for line in patterns:
        pattern = line.strip()
        if pattern.startswith("#"):
            continue
        back = pattern.startswith("!")
        cleaned = "/".join(part for part in pattern[back:].strip().split("/") if part not in {"", "."})
        if any(glob(cleaned).fullmatch(candidate) for candidate in above):
            result = not back
    return result


def glob(pattern: str) -> re.Pattern[str]:
    """A pattern of `.dockerignore`: `*` and `?` within a name, `**` across folders, `[a-z]`, `[^a-z]`, a backslash."""
    parts = re.findall(r"\*\*/|\*\*|\*|\?|\[\^?(?:\\.|[^\]\\])+\]|\\.|.", pattern, re.DOTALL)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    turned = [p if p[0] == "[" and len(p) > 1 else known.get(p) or re.escape(p[-1]) for p in parts]
    return re.compile("".join(turned), re.DOTALL)


# --- the build cache ------------------------------------------------------------------------------------------------


def cache_keys(
    steps: Sequence[Instruction], files: Mapping[str, bytes], arguments: Mapping[str, str] | None = None
) -> list[str]:
    """Give each step a key; a step whose key was there before is not run again.

    A key is `key_of` the key of the step before it in its stage and of a list of what the step itself depends on:

    - its name, each flag as `name=value`, sorted, and its text. In the text `interpolate` puts in what the stage has
      set by ARG and by ENV, which goes before ARG; but not in the text of a step in `BY_THE_SHELL`;
    - of RUN, also each ARG that the stage has declared, as `name=value`, sorted: whatever it runs can read them;
    - of COPY and ADD without the flag `from`, also `name=sha256`, in hexadecimal digits, for each file that `sources`
      finds, in its order; with the flag, the last key of the stage that it names, or "" if it names none.

    FROM begins a stage, see `stage_of`: the key before it is "", or the last key of the stage that it names. Variables
    of its text are the ARGs before the first FROM. Each stage begins without variables: an ARG must be declared again.

    Args:
        steps: of `parse`.
        files: what the build may copy, by path, after `.dockerignore`.
        arguments: of `--build-arg`: they are the values of ARGs that are declared, and nothing else.

    Returns:
        A key for each step.
    """
    keys: list[str] = []
    stages: dict[str, str] = {}
    outer: dict[str, str] = {}
    environment: dict[str, str] = {}
    key, stage, declared = "", "", outer
    for step in steps:
        if step.name == "FROM":
            text = interpolate(step.text, outer)
            image, stage = stage_of(text, len(stages))
            key, declared, environment = stages.get(image, ""), {}, {}
        else:
            text = step.text if step.name in BY_THE_SHELL else interpolate(step.text, {**declared, **environment})
        depends = [step.name, *(f"{name}={value}" for name, value in sorted(step.flags.items())), text]
        if step.name == "ARG":
            declared |= argument(text, arguments or {}, outer)
        elif step.name == "ENV":
            environment |= pairs(text)
        elif step.name == "RUN":
            depends += [f"{name}={value}" for name, value in sorted(declared.items())]
        elif "from" in step.flags:
            depends.append(stages.get(step.flags["from"], ""))
        elif step.name in {"COPY", "ADD"}:
            names = sources(step.words or shlex.split(text), files)
            depends += [f"{name}={hashlib.sha256(files[name]).hexdigest()}" for name in names]
        key = key_of(key, depends)
        keys.append(key)
        if stage:
            stages[stage] = key
    return keys


def key_of(before: str, depends: Sequence[str]) -> str:
    """The SHA-256 of a JSON list, the key before and then what a step depends on, as hexadecimal digits."""
    return hashlib.sha256(json.dumps([before, *depends]).encode()).hexdigest()


def stage_of(text: str, number: int) -> tuple[str, str]:
    """The image of a FROM, and the name of its stage, which is its number if it has none."""
    words = text.split()
    return words[0], words[2] if len(words) == 3 and words[1].upper() == "AS" else str(number)


def argument(text: str, given: Mapping[str, str], outer: Mapping[str, str]) -> dict[str, str]:
    """The variable of an ARG, if it has a value: the given one, its default, or that of the ARG before FROM."""
    name, equals, default = text.partition("=")
    value = given.get(name, " ".join(shlex.split(default)) if equals else outer.get(name))
    return {} if value is None else {name: value}


def pairs(text: str) -> dict[str, str]:
    """The variables of an ENV, `A=b C="d e"` or `A b`."""
    words = shlex.split(text)
    if "=" not in words[0]:
        return {words[0]: text.split(None, 1)[1] if len(words) > 1 else ""}
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def sources(words: Sequence[str], files: Iterable[str]) -> list[str]:
    """The files that a COPY finds by all its words but the last, in order: a file, all of a folder, or a pattern."""
    wanted = [str(PurePosixPath(word.lstrip("/"))) for word in words[:-1]]

    def fits(path: str, word: str) -> bool:
        length = word.count("/") + 1
        return word == "." or glob(word).fullmatch("/".join(path.split("/")[:length])) is not None

    return sorted(path for path in files if any(fits(path, word) for word in wanted))


def command(steps: Sequence[Instruction], arguments: Sequence[str] = ()) -> list[str]:
    """What a container runs: the last ENTRYPOINT, and behind it the arguments, or the last CMD if there are none.

    Those of the last stage count, and of stages that it begins from; what a base image runs is not known.
    The shell form is `/bin/sh -c`, whose process gets the signals; as an ENTRYPOINT it takes no arguments at all.
    """
    stages: dict[str, dict[str, Instruction]] = {}
    last: dict[str, Instruction] = {}
    for step in steps:
        if step.name == "FROM":
            image, stage = stage_of(step.text, len(stages))
            last = stages[stage] = dict(stages.get(image, {}))
        last[step.name] = step
    shell = {name: ["/bin/sh", "-c", step.text] for name, step in last.items()}
    entry, cmd = (
        (last[name].words or shell[name]) if name in last else [] for name in ("ENTRYPOINT", "CMD")
    )  # fmt: skip
    if "ENTRYPOINT" in last and last["ENTRYPOINT"].words is None:
        return entry
    return [*entry, *(arguments or cmd)]


# --- layers and images ----------------------------------------------------------------------------------------------


def diff(lower: Mapping[str, Node], upper: Mapping[str, Node]) -> Tree:
    """The layer that makes the upper tree of the lower one.

    It holds each node of the upper tree that is new or differs in anything. Each path that is gone from the root, or
    from a folder that is still there as a folder, has a whiteout: an empty file of mode 0o644 beside it, whose name is
    `.wh.` and the path's own. What was below a path that is gone, or is no folder any more, needs none.

    Raises:
        ValueError: a name in the upper tree begins with `.wh.`.
    """
    for path in upper:
        if _name(path).startswith(WHITEOUT):
            raise ValueError(f"{path}: a name must not begin with {WHITEOUT}, which marks what is gone.")
    layer = {path: node for path, node in upper.items() if lower.get(path) != node}
    for path in lower:
        above = _folder(path)
        kept = above == "" or (above in upper and upper[above].kind == "dir")
        if path not in upper and kept:
            layer[_join(above, WHITEOUT + _name(path))] = Node("file")
    return layer


def apply(lower: Mapping[str, Node], layer: Mapping[str, Node]) -> Tree:
    """The tree after a layer, whose entries may come in any order.

    First its whiteouts hide what the lower tree has: `.wh.name` the path beside it and all below, `.wh..wh..opq` all in
    its folder, but not the folder. They hide nothing of their own layer, and are not in the result. Then each of its
    nodes takes its place, in the order of their paths. If it is no folder, all below its path goes. A folder above it
    that is missing, or is none in the tree, becomes one, of mode 0o755.

    Raises:
        ValueError: a path in the layer is absolute, or has an empty part, `.` or `..` in it.
    """
    tree = dict(lower)
    for path in layer:
        if any(part in {"", ".", ".."} for part in path.split("/")):
            raise ValueError(f"{path!r} would be written outside of the tree. Do not apply this layer.")
        above, name = _folder(path), _name(path)
        if name == OPAQUE:
            _hide(tree, above)
        elif name.startswith(WHITEOUT):
            _remove(tree, _join(above, name.removeprefix(WHITEOUT)))
    for path in sorted(layer):
        if _name(path).startswith(WHITEOUT):
            continue
        for above in _above(path):
            if above not in tree or tree[above].kind != "dir":
                tree[above] = Node("dir", mode=0o755)
        if layer[path].kind != "dir":
            _remove(tree, path)
        tree[path] = layer[path]
    return tree


def pack(tree: Mapping[str, Node]) -> bytes:
    """A tar of a tree or a layer, the same bytes for the same nodes: sorted, whiteouts first, times and owners 0."""
    buffer = io.BytesIO()
    kinds = {"file": tarfile.REGTYPE, "dir": tarfile.DIRTYPE, "link": tarfile.SYMTYPE}
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(tree, key=lambda path: (_folder(path), not _name(path).startswith(WHITEOUT), path)):
            node, entry = tree[path], tarfile.TarInfo(path)
            entry.type, entry.mode = kinds[node.kind], node.mode
            entry.linkname = node.data.decode() if node.kind == "link" else ""
            entry.size = len(node.data) if node.kind == "file" else 0
            archive.addfile(entry, io.BytesIO(node.data))
        end = archive.offset
    return buffer.getvalue()[:end] + bytes(1024)  # two empty blocks end it, as in Go's tar, not a whole record


def unpack(data: bytes) -> Tree:
    """The nodes of a tar; `./` before a name and `/` behind it do not count."""
    tree: Tree = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for entry in archive:
            path = entry.name.removeprefix("./").rstrip("/")
            if path in {"", "."}:
                continue
            if entry.issym():
                tree[path] = Node("link", entry.linkname.encode(), entry.mode)
            elif entry.isdir():
                tree[path] = Node("dir", b"", entry.mode)
            elif (file := archive.extractfile(entry)) is not None:
                tree[path] = Node("file", file.read(), entry.mode)
    return tree


def digest(data: bytes) -> str:
    """The name of a blob: `sha256:` and the hexadecimal digits."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def chain_ids(diff_ids: Iterable[str]) -> list[str]:
    """The names of the trees after each layer: the first is its own, then the digest of "chain diff"."""
    chain: list[str] = []
    for one in diff_ids:
        chain.append(digest(f"{chain[-1]} {one}".encode()) if chain else one)
    return chain


def build_image(layers: Sequence[Mapping[str, Node]], *, platform: str = "linux/amd64", **config: Any) -> Image:
    """An OCI image: gzipped layers, a config with the digests of the tars, a manifest with those of the gzips.

    The same layers and config give the same digest: JSON with sorted keys, tars without times, gzip without one.

    Args:
        layers: the lowest first.
        platform: operating system and architecture.
        config: of the container, such as `Entrypoint=["serve"]`, `Env=["A=b"]`.
    """
    system, architecture = platform.split("/")
    tars = [pack(layer) for layer in layers]
    gzips = [gzip.compress(tar, mtime=0) for tar in tars]
    body = {
        "architecture": architecture,
        "os": system,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [digest(tar) for tar in tars]},
    }
    blobs = {digest(blob): blob for blob in gzips}
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _described(blobs, _json(body), "application/vnd.oci.image.config.v1+json"),
        "layers": [_described(blobs, blob, "application/vnd.oci.image.layer.v1.tar+gzip") for blob in gzips],
    }
    name = _described(blobs, _json(manifest), manifest["mediaType"])["digest"]
    return Image(name, blobs)


def _described(blobs: dict[str, bytes], blob: bytes, media: Any) -> dict[str, Any]:
    """The descriptor of a blob, which is kept."""
    blobs[digest(blob)] = blob
    return {"mediaType": media, "digest": digest(blob), "size": len(blob)}


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _above(path: str) -> Iterator[str]:
    """The folders above a path, the highest first."""
    parts = path.split("/")[:-1]
    yield from ("/".join(parts[:length]) for length in range(1, len(parts) + 1))


def _hide(tree: Tree, folder: str) -> None:
    """Remove all in a folder; "" is the root."""
    for path in [path for path in tree if not folder or path.startswith(f"{folder}/")]:
        del tree[path]


def _remove(tree: Tree, path: str) -> None:
    """Remove a path with all below it."""
    tree.pop(path, None)
    _hide(tree, path)


# --- compose --------------------------------------------------------------------------------------------------------

REPLACED = frozenset({"command", "entrypoint", "test"})  # lists that are not appended to


def merge(base: Any, over: Any, key: str = "") -> Any:
    """Merge an override file over a compose file: mappings by key, lists one behind the other, anything else replaced.

    `command`, `entrypoint` and a health check's `test` are replaced; `depends_on` and `environment` become mappings
    first; of `volumes`, an entry replaces the one that is mounted at the same place.
    """
    if key in {"depends_on", "environment"}:
        base, over = _mapping(base, key), _mapping(over, key)
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        return {**base, **{k: merge(base[k], value, k) if k in base else value for k, value in over.items()}}
    if not isinstance(base, list) or not isinstance(over, list) or key in REPLACED:
        return over
    if key == "volumes":
        base = [entry for entry in base if _target(entry) not in {_target(other) for other in over}]
    return [*base, *over]


def _mapping(value: Any, key: str) -> Any:
    if not isinstance(value, list):
        return value
    if key == "environment":
        return {name: text if equals else None for name, equals, text in (line.partition("=") for line in value)}
    return {name: {"condition": CONDITIONS[0]} for name in value}


def _target(volume: Any) -> Any:
    return volume.get("target") if isinstance(volume, Mapping) else volume.split(":")[min(1, volume.count(":"))]


def start_times(services: Mapping[str, Mapping[str, Any]], runs: Mapping[str, Run]) -> dict[str, float]:
    """When each service of a compose file starts, in seconds; infinite if it never does.

    A service starts as soon as what it depends on is fulfilled; without any it starts at 0. `depends_on` is a list of
    names, each to be started, or a mapping from names to a mapping with a `condition`: "service_started", which is
    fulfilled when the other starts, "service_healthy", when it is healthy, or "service_completed_successfully", when it
    has ended with code 0; with any other code never. A service that ends before it is healthy is never healthy. However
    many depend on a service, its own dependencies are followed once.

    Args:
        services: the services of a compose file.
        runs: how each behaves; `Run()` if it is not there.

    Raises:
        ValueError: a dependency that is no service; a condition that is none of `CONDITIONS`; a condition
            "service_healthy" on a service without a `healthcheck`; a circle, with all its names, in order, from its
            first in `services` back to itself, joined by " → ".
    """
    times: dict[str, float] = {}

    def start(name: str, path: list[str]) -> float:
        if name in path:
            circle = path[path.index(name) :]
            turn = circle.index(min(circle, key=list(services).index))
            raise ValueError(f"depends_on: {' → '.join([*circle[turn:], *circle[:turn], circle[turn]])} is a circle.")
        if name not in times:
            needs = _mapping(services[name].get("depends_on", {}), "depends_on")
            ends = [fulfilled(name, other, needs[other].get("condition"), [*path, name]) for other in needs]
            times[name] = max(ends, default=0.0)
        return times[name]

    def fulfilled(name: str, other: str, condition: Any, path: list[str]) -> float:
        if other not in services:
            raise ValueError(f"depends_on: {name} depends on {other!r}, which is no service.")
        if condition not in CONDITIONS:
            raise ValueError(f"depends_on: condition must be one of {', '.join(CONDITIONS)}, got {condition!r}.")
        if condition == "service_healthy" and "healthcheck" not in services[other]:
            raise ValueError(f"depends_on: {name} waits for {other!r} to be healthy, which has no healthcheck.")
        begun, run = start(other, path), runs.get(other, Run())
        if condition == "service_healthy":
            return begun + run.healthy if run.healthy <= run.ends else math.inf
        if condition == "service_completed_successfully":
            return begun + run.ends if run.code == 0 else math.inf
        return begun

    return {name: start(name, []) for name in services}
