"""The exploration of collected logs as a Jupyter notebook: what there is, what is usual, which features tell it apart.

    write_notebook("copilot.duckdb", "exploration.ipynb")

It is a notebook of the reader's own store: its cells call the library, are there to be changed, and run from top to
bottom.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from groundup.errors import UsageError

# Each cell of code after the text that goes before it.
_CELLS = r"""
# # Exploration of collected logs
#
# What is in these logs, what is usual in them, and which features could tell the one from the other. Every cell
# may be changed and run again.

from collections import Counter
from datetime import UTC, datetime

import numpy as np
import plotly.graph_objects as go

from groundup.systems.copilot import anomalies, open_store, why
from groundup.systems.copilot.classifying.features import CONCEPTS, describe, tabulate

STORE = {store}
NAME = None  # a pod, namespace or file; None for all
SINCE = None  # for example '2h'

with open_store(STORE, reading=True) as store:
    records = list(store.records(NAME, SINCE))
    summary = store.summary()
print(f"{len(records):,} records of {len(summary['sources'])} sources, {summary['templates']:,} templates")
# %%
# ## Where they come from, and what is missing
#
# A feature that is not known in most records is of little use to a model, and a format that was not recognised
# shows here first.

formats = Counter(record.format for record in records)
print('formats:', dict(formats.most_common()))
for what in ('time', 'level', 'service'):
    known = sum(getattr(record, what) is not None for record in records)
    print(f'{what}: known in {known / max(1, len(records)):.1%}')
print('services:', dict(Counter(record.service for record in records).most_common(10)))
# %%
# ## Levels over time
#
# A rise of errors, a gap, or a level that is hardly ever used.

timed = [record for record in records if record.time is not None]
figure = go.Figure(layout=dict(barmode='stack', xaxis_title='UTC', yaxis_title='records'))
if timed:
    edges = np.linspace(min(r.time for r in timed), max(r.time for r in timed) + 1e-3, 61)
    middles = [datetime.fromtimestamp(t, UTC) for t in (edges[:-1] + edges[1:]) / 2]
    for level in ('trace', 'debug', 'info', 'warn', 'error', 'fatal', None):
        counts = np.histogram([r.time for r in timed if r.level == level], edges)[0]
        if counts.any():
            figure.add_bar(x=middles, y=counts, name=level or 'none')
figure
# %%
# ## Templates
#
# A few templates are most of the lines, and most templates are a few of the lines: labels and splits count by
# template, not by line.

with open_store(STORE, reading=True) as store:
    templates = store.miner.templates()
for template in templates[:10]:
    print(f'{template.count:>9,}  {template.text[:100]}')
counts = np.array([template.count for template in templates])
if len(counts):
    half = int((np.cumsum(counts) < counts.sum() / 2).sum()) + 1
    print(f'{half} of {len(counts)} templates are half of the lines, {(counts == 1).sum()} came once')
# %%
# ## Features
#
# What the classifier sees of a record: nothing of its numbers and names, all of its words.

errors = [record for record in records if record.level in ('error', 'fatal')]
for record in (errors or records)[:1]:
    print(record.text[:200])
    for name, value in describe(record).items():
        if value not in (0, None):
            print(f'    {name}: {value}')
# %%
# ## Which features go with errors
#
# How often a message is about something, among errors and among the rest. What differs is a feature worth having;
# what is the same for both is none, here.

table = tabulate(records)
bad = table.column('is_error') == 1
shares = {
    name: (table.column(f'contains_{name}')[bad].mean() if bad.any() else 0.0,
           table.column(f'contains_{name}')[~bad].mean() if (~bad).any() else 0.0)
    for name in CONCEPTS
}
for name, (among, rest) in sorted(shares.items(), key=lambda pair: -abs(pair[1][0] - pair[1][1])):
    print(f'{name:<16} {among:6.1%} of errors  {rest:6.1%} of the rest')
# %%
# ## What is unusual
#
# New templates, bursts and silences, by service and window of time.

for anomaly in anomalies(records)[:20]:
    start = datetime.fromtimestamp(anomaly.start, UTC)
    what = (anomaly.template or "all of its lines")[:80]
    counts = f'{anomaly.count:,} where {anomaly.expected:,.1f} are usual'
    print(f'{start:%H:%M:%S} {anomaly.kind:<8} {anomaly.service}: {what} ({counts})')
# %%
# ## What holds the root cause
#
# The lines that `groundup copilot why` shows. The next step is to label some: `groundup copilot label SOURCE:LINE
# alert`, then `groundup copilot train`.

for piece in why(records):
    print(f'{piece.source}:{piece.number}  {"; ".join(piece.reasons)}')
    print('   ', piece.text[:160])
"""


def notebook(store: str | Path) -> str:
    """The text of the notebook (nbformat 4) of a store."""
    import nbformat

    cells: list[Any] = []
    for part in _CELLS.split("\n# %%\n"):
        prose, code = part.strip().split("\n\n", 1)
        text = "\n".join(line.removeprefix("#").removeprefix(" ") for line in prose.splitlines())
        cells.append(nbformat.v4.new_markdown_cell(text))
        cells.append(nbformat.v4.new_code_cell(code.replace("{store}", repr(str(store)))))
    for number, cell in enumerate(cells, 1):
        cell["id"] = f"cell-{number}"  # the same store gives the same notebook
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    made = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})
    nbformat.validate(made)
    return nbformat.writes(made) + "\n"


def write_notebook(store: str | Path, path: str | Path, *, force: bool = False) -> None:
    """Write the notebook of a store; a file that is there is not overwritten unless `force`."""
    path = Path(path)
    if path.suffix != ".ipynb":
        raise UsageError(f"output must end in .ipynb, got '{path.name}'.")
    if not Path(store).exists():
        raise UsageError(
            f"store must be a file that exists, and '{store}' does not. Fill it with `groundup copilot ingest` first."
        )
    if path.exists() and not force:
        raise UsageError(f"output must be a new file, and '{path}' is there already. Add --force, or name another one.")
    try:
        path.write_text(notebook(store), encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"output must be a file that can be written, and '{path}' cannot be: {error.strerror}. Name another one."
        ) from error
