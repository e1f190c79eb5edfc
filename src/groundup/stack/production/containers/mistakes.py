# pyright: basic
"""Ways to get containers wrong, and right ways that differ."""

import math
import re

from groundup.anatomy import mistake, variant
from groundup.stack.production.containers.containers import (
    CONDITIONS,
    OPAQUE,
    WHITEOUT,
    Node,
    Run,
    _above,
    _folder,
    _hide,
    _instruction,
    _mapping,
    _name,
    _remove,
    glob,
)


@mistake("parse", edit=(' or line.lstrip().startswith("#")', ' or (not whole and line.lstrip().startswith("#"))'))
def takes_comments_into_a_line():
    """You take a comment between the lines of an instruction for a part of it. Comments go, wherever they stand."""


@mistake("parse", edit=("first = first if whole else number", "first = number"))
def counts_from_the_last_line():
    """You name the last line of an instruction that goes on. An error is looked for where the instruction begins."""


@mistake("parse", edit=(r're.sub(r"\\[ \t]*$", "", line)', r're.sub(r"\\[ \t]*$", " ", line).rstrip(" ")'))
def eats_blanks():
    """You change the blanks of a text, not only its backslash. They may stand in a string of the shell."""


@mistake("parse", edit=("    if whole.strip():\n        instructions.append(_instruction(whole, first))\n", ""))
def loses_the_last_line():
    """A file whose last line ends in a backslash loses its last instruction."""


@mistake("ignored", edit=("result = not back", "return not back"))
def lets_the_first_decide():
    """You stop at the first pattern that matches. The last one decides, or `!` could take nothing back."""


@mistake("ignored", edit=("for candidate in above)", "for candidate in [path])"))
def forgets_the_folders():
    """You match the path alone. A pattern for a folder, such as `.git`, holds for all that is in it."""


@mistake("ignored", edit=("glob(cleaned).fullmatch(candidate)", "glob(cleaned).search(candidate)"))
def finds_it_anywhere():
    """You look for the pattern anywhere in the path. It begins at the root: `docs` is not `src/docs`, nor `docs2`."""


@mistake("cache_keys", edit=("key = key_of(key, depends)", 'key = key_of("", depends)'))
def forgets_what_came_before():
    """Your key does not depend on the step before. Its result does: other files below, and the same command."""


@mistake(
    "cache_keys",
    edit=('f"{name}={hashlib.sha256(files[name]).hexdigest()}" for name in names', "name for name in names"),
)
def looks_at_names_only():
    """You look at the names of the files, not at their content: a changed file is not copied again."""


@mistake(
    "cache_keys",
    edit=(
        '            depends += [f"{name}={value}" for name, value in sorted(declared.items())]\n',
        "            pass\n",
    ),
)
def forgets_build_arguments():
    """Your RUN does not depend on the ARGs before it, but the command reads them: another version, the old layer."""


@mistake("cache_keys", edit=('stages.get(step.flags["from"], "")', 'step.flags["from"]'))
def trusts_a_stages_name():
    """You take the name of the stage for its content. COPY --from must follow the last key of that stage."""


@mistake("diff", edit=("if path not in upper and kept:", "if path not in upper:"))
def marks_all_that_is_below():
    """You mark what was below a folder that is gone, too. One whiteout hides it with all below."""


@mistake("diff", edit=("if lower.get(path) != node", "if path not in lower"))
def keeps_what_has_changed():
    """Your layer has new paths only. A file with another content or mode belongs into it, in its entirety."""


@mistake("diff", edit=('upper[above].kind == "dir"', "True"))
def marks_below_a_file():
    """You mark a path whose folder has become a file. The file takes its place, and nothing can be beside it."""


@mistake(
    "apply",
    edit=(
        "_remove(tree, _join(above, name.removeprefix(WHITEOUT)))",
        "tree.pop(_join(above, name.removeprefix(WHITEOUT)), None)",
    ),
)
def hides_the_folder_only():
    """You remove a folder, and leave what was in it. A whiteout hides the path with all below."""


@mistake("apply", edit=("        if name == OPAQUE:\n            _hide(tree, above)\n        elif", "        if"))
def knows_no_opaque_folder():
    """You take `.wh..wh..opq` for the whiteout of a file. It hides everything in its folder."""


@mistake("apply", edit=('if layer[path].kind != "dir":', "if True:"))
def empties_a_folder():
    """You remove what was in a folder when the layer has the folder itself. Only its attributes are replaced."""


@mistake("start_times", edit=("if run.healthy <= run.ends else math.inf", ""))
def heals_the_dead():
    """You count a service as healthy after it has ended. It ends before it is healthy, so it never is."""


@mistake("start_times", edit=("begun + run.ends if run.code == 0 else math.inf", "begun + run.ends"))
def takes_any_end_for_a_success():
    """You do not look at the exit code. A migration that failed has not completed successfully."""


@mistake("start_times", edit=("max(ends, default=0.0)", "min(ends, default=0.0)"))
def starts_after_the_first():
    """You start a service when the first of its dependencies is fulfilled. It waits for all."""


@variant("parse")
def by_joining_lines_first(text):
    """Lines with their numbers on a stack."""
    waiting, result = [], []
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    lines = [(number, line) for number, line in lines if line.strip()[0] != "#"]
    for place, (number, line) in enumerate(lines):
        match = re.search(r"\\[ \t]*$", line)
        part = line[: match.start()] if match else line
        if part or waiting:
            waiting.append((number, part))
        if waiting and (not match or place == len(lines) - 1):
            whole = "".join(part for _, part in waiting)
            if whole.strip():
                result.append(_instruction(whole, waiting[0][0]))
            waiting = []
    if result and result[0].name not in ("FROM", "ARG"):
        raise ValueError(f"begin with FROM, not with {result[0].name}")
    return result


@variant("ignored")
def from_the_last_to_the_first(patterns, path):
    """The first that matches from behind decides."""
    for line in reversed([line.strip() for line in patterns]):
        back = line[:1] == "!"
        parts = [part for part in line[back:].strip().split("/") if part not in ("", ".")]
        if not line or line[0] == "#" or not parts:
            continue
        pattern, names = glob("/".join(parts)), path.split("/")
        if any(pattern.fullmatch("/".join(names[: k + 1])) for k in range(len(names))):
            return not back
    return False


@variant("diff")
def path_by_path(lower, upper):
    """All paths of both, in order."""
    layer, gone = {}, set()
    for path in sorted({*lower, *upper}):
        folder = _folder(path)
        if path in upper:
            if _name(path).startswith(WHITEOUT):
                raise ValueError(f"{path} looks like a whiteout")
            if path not in lower or lower[path] != upper[path]:
                layer[path] = upper[path]
        elif folder not in gone and (not folder or upper.get(folder, Node("file")).kind == "dir"):
            layer[f"{folder}/{WHITEOUT}{_name(path)}".lstrip("/")] = Node("file", b"", 0o644)
            gone.add(path)
    return layer


@variant("apply")
def in_two_parts(lower, layer):
    """Whiteouts and nodes are parted first."""
    for path in layer:
        if {"", ".", ".."} & {*path.split("/")}:
            raise ValueError(f"{path}: outside")
    marks = [path for path in layer if _name(path).startswith(WHITEOUT)]
    tree = {**lower}
    for path in marks:
        if _name(path) == OPAQUE:
            _hide(tree, _folder(path))
        else:
            _remove(
                tree,
                path.replace(WHITEOUT, "", 1) if "/" not in path else path[::-1].replace(WHITEOUT[::-1], "", 1)[::-1],
            )
    for path, node in sorted((path, node) for path, node in layer.items() if path not in marks):
        for above in _above(path):
            if tree.get(above, Node("file")).kind != "dir":
                tree[above] = Node("dir", mode=0o755)
        if not (path in tree and tree[path].kind == node.kind == "dir"):
            _remove(tree, path)
        tree[path] = node
    return tree


@variant("start_times")
def by_rounds(services, runs):
    """Checks first; then rounds, in which those start whose dependencies have started."""
    needs = {name: _mapping(body.get("depends_on", {}), "depends_on") for name, body in services.items()}
    for name, others in needs.items():
        for other, how in others.items():
            condition = how.get("condition")
            if other not in services:
                raise ValueError(f"depends_on: {name} names {other}, no service")
            if condition not in CONDITIONS:
                raise ValueError(f"condition: {condition} is unknown")
            if condition == CONDITIONS[1] and "healthcheck" not in services[other]:
                raise ValueError(f"{other} has no healthcheck")
    times = {}
    while len(times) < len(services):
        ready = [name for name in services if name not in times and all(other in times for other in needs[name])]
        if not ready:
            path = [next(name for name in services if name not in times)]
            while path[-1] not in path[:-1]:
                path.append(next(other for other in needs[path[-1]] if other not in times))
            circle = path[path.index(path[-1]) : -1]
            first = circle.index(min(circle, key=list(services).index))
            raise ValueError(" → ".join([*circle[first:], *circle[:first], circle[first]]))
        for name in ready:
            ends = [0.0]
            for other, how in needs[name].items():
                run = runs.get(other, Run())
                after = {
                    CONDITIONS[0]: 0.0,
                    CONDITIONS[1]: math.inf if run.healthy > run.ends else run.healthy,
                    CONDITIONS[2]: run.ends if not run.code else math.inf,
                }
                ends.append(times[other] + after[how["condition"]])
            times[name] = max(ends)
    return {name: times[name] for name in services}
