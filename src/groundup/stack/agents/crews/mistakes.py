# pyright: basic
"""Ways to get a crew wrong, and right ways that differ."""

import json

from groundup.anatomy import mistake, variant
from groundup.stack.agents.crews.crews import BudgetExceeded, PlanError, _cut, _task, fence, tokens, waves


@mistake("Budget.spend", edit=("        budget = budget.whole\n", "        budget = None\n"))
def spends_at_one_level():
    """You spend in this budget alone. The whole then never notices, and all parts together spend more than it has."""


@mistake("Budget.spend", edit=("if count > self.left:", "if count > self.tokens - self.spent:"))
def looks_at_its_own_level():
    """You compare with what is left here. A part can have room where the whole has none: ask `left`."""


@mistake("Budget.spend", edit=("if count > self.left:", "if count >= self.left:"))
def keeps_the_last_token():
    """You refuse to spend exactly what is left. All of it may be spent."""


@mistake("read_plan", edit=("if task.worker not in workers:", "if False:"))
def believes_in_any_worker():
    """You take every name for a worker. Models invent some: say who is there, and let the manager plan again."""


@mistake("read_plan", edit=("if ids.count(task.id) > 1:", "if False:"))
def allows_an_id_twice():
    """You allow an id twice. The second result then takes the place of the first, and nobody notices."""


@mistake("read_plan", edit=("    waves(tasks)\n", ""))
def allows_circles():
    """You do not look for circles. Tasks that need each other are never ready."""


@mistake("read_plan", edit=('if body.startswith("```"):', "if False:"))
def reads_bare_json_only():
    """You leave the fence of backticks, or its language, in the text. Most models write one: take all of it away."""


@mistake("waves", edit=("done |= {task.id for task in ready}", "done |= {task.id for task in ready[:1]}"))
def does_one_task_a_wave():
    """You take one task of a wave and leave the others. All that are ready form one wave: they could run together."""


@mistake("waves", edit=("if not ready:", "if False:"))
def waits_for_a_circle():
    """Where no task is ready, you look again for ever. Then the tasks left over need each other: refuse."""


@mistake("waves", edit=("done.issuperset(task.needs)", "done.intersection(task.needs) or not task.needs"))
def begins_when_one_is_there():
    """You begin a task when one of its needs is done. It needs all of them."""


@mistake("hand_over", edit=("fence(shown[name])", "shown[name]"))
def hands_over_orders():
    """You hand the result over as bare text. A page that one worker has read can then give orders to the next."""


@mistake("hand_over", edit=("most // (len(texts) - place)", "most"))
def lets_the_first_take_all():
    """You give the first result all the room. The others may be what matters: share it evenly."""


@mistake("hand_over", edit=("sorted(texts, key=lambda name: length(texts[name]))", "texts"))
def shares_without_looking():
    """You share in the order of the needs. What a short result leaves goes to long ones: begin with the shortest."""


@mistake("hand_over", edit=('results[name].text or f"(failed: {results[name].problem})"', "results[name].text"))
def hides_failures():
    """You hand over an empty text where a task has failed. The next worker must know that something is missing."""


@mistake("refine", edit=("if draft in drafts:", "if False:"))
def goes_in_circles():
    """You let a draft that comes again be judged again. The writer has nothing new: stop."""


@mistake("refine", edit=("re.match(", "re.search("))
def hears_accept_anywhere():
    """You take the word ACCEPT anywhere for acceptance. "I cannot accept this" holds it as well."""


@mistake("refine", edit=("draft = write(remarks)", 'draft = write("")'))
def forgets_the_remarks():
    """You do not tell the writer what was wrong. It can only write the same again."""


@mistake("Crew.run", edit=("budget.part(budget.left // (len(order) - place))", "budget"))
def shares_nothing_out():
    """You give each worker the whole budget. One that never ends takes all, and nothing is left for the answer."""


@mistake("Crew.run", edit=("budget.spent - before", "budget.spent"))
def reports_what_others_spent():
    """You report all that was ever spent from the budget. A budget may be older than this run: subtract."""


@mistake(
    "Crew.run",
    edit=("for wave in waves(planned) for task in wave if task != last", "for task in planned if task != last"),
)
def works_in_the_order_of_the_plan():
    """You do the tasks in the order of the plan. A manager may name a task before those that it needs: go by waves."""


@variant("Budget.spend")
def from_the_top(self, count):
    """The budgets above are collected first."""
    if count < 0:
        raise ValueError(f"count must not be negative, got {count}")
    line = [self]
    while line[-1].whole is not None:
        line.append(line[-1].whole)
    left = min(budget.tokens - budget.spent for budget in line)
    if left < count:
        raise BudgetExceeded(f"{count} of {left}")
    for budget in line:
        budget.spent += count


@variant("waves")
def by_levels(tasks):
    """The level of each task is one more than the highest that it needs, found by repetition."""
    level = {}
    for _ in range(len(tasks)):
        for task in tasks:
            if task.id not in level and all(needed in level for needed in task.needs):
                level[task.id] = max((level[needed] + 1 for needed in task.needs), default=0)
    if missing := [task.id for task in tasks if task.id not in level]:
        raise PlanError(f"a cycle among {missing}")
    return [[t for t in tasks if level[t.id] == number] for number in sorted(set(level.values()))]


@variant("hand_over")
def by_filling(task, results, most, length=tokens):
    """The share of those that are still too long grows as the short ones are taken out."""
    if most < 0:
        raise ValueError(f"most must be at least 0, got {most}")
    for name in task.needs:
        if name not in results:
            raise ValueError(f"there is no {name!r} for {task.id!r}")
    full = {name: results[name].text or f"(failed: {results[name].problem})" for name in task.needs}
    shown, left, room = {}, dict(full), most
    while left:
        share = room // len(left)
        short = min(left, key=lambda name: length(left[name]))
        shown[short] = _cut(left.pop(short), share, length)
        room -= length(shown[short])
    text = task.about
    for name in full:
        text += f"\n\nResult of {name}:\n{fence(shown[name])}"
    return text


@variant("refine")
def by_recursion(write, judge, *, rounds):
    """Each round calls the next."""
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, got {rounds}")

    def go(remarks, before):
        draft = write(remarks)
        if draft in before:
            return draft, False, len(before)
        verdict = judge(draft).strip()
        if verdict[:6].upper() == "ACCEPT" and not verdict[6:7].isalnum():
            return draft, True, len(before) + 1
        if len(before) + 1 == rounds:
            return draft, False, rounds
        return go(verdict.removeprefix("REVISE:").strip(), [*before, draft])

    return go("", [])


@variant("read_plan")
def step_by_step(text, workers, *, most=10):
    """The lines of a fence are taken away one by one."""
    lines = text.strip().splitlines() or [""]
    if lines[0].startswith("```"):
        lines = [*lines[1:-1], lines[-1].removesuffix("```")]
    try:
        entries = json.loads("\n".join(lines))
    except json.JSONDecodeError as error:
        raise PlanError(f"no JSON ({error}): {text!r}") from None
    if not isinstance(entries, list) or not entries or len(entries) > most:
        raise PlanError(f"it must be a list of 1 to {most} tasks: {text!r}")
    plan = {}
    tasks = []
    for entry in entries:
        task = _task(entry)
        if task.id in plan:
            raise PlanError(f"{task.id!r} is there twice")
        if task.worker not in workers:
            raise PlanError(f"no worker {task.worker!r}, only {', '.join(workers)}")
        plan[task.id] = task
        tasks.append(task)
    for task in tasks:
        if unknown := [needed for needed in task.needs if needed not in plan]:
            raise PlanError(f"{task.id!r} needs {unknown[0]!r}, which is not there")
        if tasks[-1].id in task.needs and task is not tasks[-1]:
            raise PlanError(f"{task.id!r} needs the last task {tasks[-1].id!r}")
    waves(tasks)
    return tasks
