# pyright: basic
"""Ways to get delivery wrong, and right ways that differ."""

import itertools
import math

from groundup.anatomy import mistake, variant
from groundup.stack.production.delivery.delivery import (
    OPERATORS,
    Decision,
    Finding,
    _check_gate,
    _circle,
    evaluate,
    needs_of,
    pinned,
    references,
    truthy,
    untrusted,
)


@mistake("evaluate", edit=("return left if truthy(left)", "return truthy(left) if truthy(left)"))
def gives_a_truth_value():
    """You give true or false for `&&` and `||`. They give one of their operands: `x && 'live' || 'test'` is a text."""


@mistake("evaluate", edit=("left if truthy(left) == (", "left if bool(left) == ("))
def is_pythons_truth():
    """You ask Python what is true. To GitHub an empty list and an empty mapping are truthy: ask `truthy`."""


@mistake("evaluate")
def evaluates_both_sides(tree, contexts, functions):
    """You evaluate both sides before you look at the left one. Where it decides, the right one is left alone."""
    kind, *parts = tree
    if kind == "literal":
        return parts[0]
    if kind == "name":
        return contexts.get(parts[0])
    if kind == "call":
        if parts[0].lower() not in functions:
            raise ValueError(f"functions must be among {', '.join(functions)}, got {parts[0]!r}.")
        return functions[parts[0].lower()](*(evaluate(part, contexts, functions) for part in parts[1]))
    values = [evaluate(part, contexts, functions) for part in parts]
    if kind in ("&&", "||"):
        return values[0] if truthy(values[0]) == (kind == "||") else values[1]
    return OPERATORS[kind](*values)


@mistake("evaluate", edit=("contexts.get(parts[0])", "contexts[parts[0]]"))
def stumbles_over_absent_contexts():
    """A context that is not there is no error to GitHub. It is null."""


@mistake(
    "order_jobs",
    edit=(
        "        waves.append(wave)\n        done.update(wave)\n",
        "        waves.append(wave[:1])\n        done.update(wave[:1])\n",
    ),
)
def starts_one_at_a_time():
    """You start a single job at a time. Jobs whose needs are all done can start together: they are one wave."""


@mistake("order_jobs", edit=("done.issuperset(above)", "(not above or not done.isdisjoint(above))"))
def starts_after_any_need():
    """You start a job when one of its needs is done. It waits for all of them."""


@mistake(
    "order_jobs", edit=("' → '.join(_circle(needs, done))", "', '.join(name for name in needs if name not in done)")
)
def names_everybody_who_waits():
    """You name all jobs that are left. Most of them only wait behind the circle: name its members."""


@mistake("expand_matrix", edit=("(axis | entry).items() >= axis.items()", "(leg | entry).items() >= leg.items()"))
def protects_what_was_included():
    """You do not let an entry overwrite what an earlier entry added. Only the axes are protected."""


@mistake("expand_matrix", edit=("    return legs + more", "    return legs"))
def drops_what_fits_nowhere():
    """An entry of include that fits no combination is a leg of its own. You drop it."""


@mistake("expand_matrix")
def includes_before_it_excludes(matrix):
    """You exclude last, and so lose what include has brought back. Exclude comes first."""
    axes = {name: values for name, values in matrix.items() if name not in ("include", "exclude")}
    for name, values in axes.items():
        if not isinstance(values, list) or not values:
            raise ValueError(f"matrix must have a list of values for {name!r}, got {values!r}.")
    own = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())] if axes else []
    legs, more = [dict(leg) for leg in own], []
    for entry in matrix.get("include", []):
        fitting = [leg for leg, axis in zip(legs, own, strict=True) if (axis | entry).items() >= axis.items()]
        for leg in fitting:
            leg.update(entry)
        if not fitting:
            more.append(dict(entry))
    return [leg for leg in legs + more if not any(out.items() <= leg.items() for out in matrix.get("exclude", []))]


@mistake(
    "lint",
    edit=(
        '"permissions" not in workflow and "permissions" not in job',
        'not workflow.get("permissions") and not job.get("permissions")',
    ),
)
def takes_no_permission_for_no_answer():
    """`permissions: {}` is the strictest answer there is: the token may do nothing. Ask whether the key is there."""


@mistake("lint", edit=("if untrusted(reference)", 'if reference.startswith("github.event.")'))
def trusts_the_branchs_name():
    """You look at `github.event` alone. A stranger names the branch of a pull request, too: ask `untrusted`."""


@mistake("run_workflow", edit=("ancestors(jobs, name)}", "needs_of(jobs[name])}"))
def asks_the_needs_alone():
    """You ask the needs, not all ancestors. Behind a job with always(), success() forgets what failed before."""


@mistake("run_workflow", edit=('above <= {"success"}', '"failure" not in above'))
def takes_skipped_for_success():
    """You run a job after one that was skipped. Skipped is not success: the skip goes on down the chain."""


@mistake("run_workflow", edit=('strategy.get("fail-fast", True)', 'strategy.get("fail-fast", False)'))
def runs_on_after_a_failed_leg():
    """By default a failed leg cancels the later legs. You go on unless you are told otherwise."""


@mistake("run_workflow", edit=('"failure": not cancelled and "failure" in above', '"failure": "failure" in above'))
def mends_a_cancelled_run():
    """After a cancel, failure() does not hold any more. Somebody has stopped the run: start nothing new."""


@mistake("judge_canary", edit=("math.log((1 - guilty) / (1 - share))", "0.0"))
def forgets_the_stable_version():
    """A failure of the stable version speaks for the canary. Without it, evidence only grows, and each canary falls."""


@mistake("judge_canary", edit=("math.log((1 - beta) / alpha)", "math.log(1 / beta)"))
def mixes_up_the_errors():
    """The bound for rollback is ln((1 - beta) / alpha): alpha is how often a good canary may be rolled back."""


@variant("evaluate")
def kind_by_kind(tree, contexts, functions):
    """Each kind has its own case."""
    match tree:
        case ("literal", value):
            return value
        case ("name", name):
            return contexts[name] if name in contexts else None
        case ("call", name, arguments):
            if name.lower() not in functions:
                raise ValueError(f"functions has no {name!r}.")
            return functions[name.lower()](*[evaluate(argument, contexts, functions) for argument in arguments])
        case ("&&", left, right):
            value = evaluate(left, contexts, functions)
            return evaluate(right, contexts, functions) if truthy(value) else value
        case ("||", left, right):
            value = evaluate(left, contexts, functions)
            return value if truthy(value) else evaluate(right, contexts, functions)
    return OPERATORS[tree[0]](*[evaluate(part, contexts, functions) for part in tree[1:]])


@variant("order_jobs")
def by_depth(jobs):
    """A job's wave is one more than the latest of its needs'."""
    needs = {name: needs_of(job) for name, job in jobs.items()}
    depth: dict = {}
    for need in itertools.chain(*needs.values()):
        if need not in needs:
            raise ValueError(f"needs hold {need!r}, which is no job.")
    for _ in needs:
        for name, above in needs.items():
            if all(need in depth for need in above):
                depth[name] = max((depth[need] + 1 for need in above), default=0)
    if len(depth) < len(needs):
        raise ValueError(f"needs must not lead in a circle, got {', '.join(_circle(needs, set(depth)))}.")
    return [[name for name in needs if depth[name] == wave] for wave in range(max(depth.values(), default=-1) + 1)]


@variant("lint")
def rule_by_rule(workflow):
    """Findings are yielded by a generator for each job."""

    def of(name, job):
        yield from (Finding("unknown-need", name, need) for need in needs_of(job) if need not in workflow["jobs"])
        if not ("permissions" in job or "permissions" in workflow):
            yield Finding("missing-permissions", name, "")
        for number, step in enumerate(job.get("steps") or ()):
            if not pinned(step.get("uses", "./")):
                yield Finding("unpinned-action", f"{name}.steps[{number}]", step["uses"])
            for reference in filter(untrusted, references(step.get("run") or "")):
                yield Finding("script-injection", f"{name}.steps[{number}]", reference)

    return list(itertools.chain.from_iterable(of(name, job) for name, job in workflow["jobs"].items()))


@variant("judge_canary")
def by_counts(failures, share, worse=2.0, alpha=0.01, beta=0.05):
    """Counts of both versions' failures instead of a sum."""
    _check_gate(share, worse, alpha, beta)
    scale, counts = math.log(1 - share + worse * share), [0, 0]
    for failed in failures:
        counts[bool(failed)] += 1
        evidence = counts[1] * math.log(worse) - sum(counts) * scale
        if evidence >= math.log((1 - beta) / alpha) - 1e-12:
            return Decision("rollback", sum(counts), evidence)
        if evidence <= math.log(beta / (1 - alpha)) + 1e-12:
            return Decision("promote", sum(counts), evidence)
    return Decision("continue", sum(counts), counts[1] * math.log(worse) - sum(counts) * scale)
