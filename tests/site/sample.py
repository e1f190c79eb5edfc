"""A small stack of one unit, for tests of pages that need a unit and not its code."""

from __future__ import annotations

from pathlib import Path

FILES = {
    "__init__.py": 'from groundup.stack.bedrock.vectors.vectors import dot\n\n__all__ = ["dot"]\n',
    "vectors.py": '''"""Vectors."""

import numpy as np


def dot(a, b):
    """The dot product of two vectors."""
    return float(np.sum(np.asarray(a) * np.asarray(b)))
''',
    "checks.py": '''"""Checks."""

from groundup.stack.bedrock.vectors import dot


def test_dot_by_hand():
    """1·3 + 2·4 is 11."""
    assert dot([1, 2], [3, 4]) == 11, "dot([1, 2], [3, 4]) is 1·3 + 2·4"
''',
    "lesson.md": r"""# Vectors and the dense layer

## Concept

A vector is a list of numbers $x \in \mathbb{R}^n$, and the dot product of two is

$$
a \cdot b = \sum_{i=1}^{n} a_i b_i = \lVert a \rVert \, \lVert b \rVert \cos\theta .
$$

```{explorable} race
```

| operation | loops | vectorised |
|:--|--:|--:|
| dot | 12.1 ms | 0.01 ms |

:::{note}
The angle between *zebra* and anything is what remains.
:::

## Implementation

```{literalinclude} vectors.py
:pyobject: dot
```

A session:

```pycon
>>> dot([1, 2], [3, 4])
11.0
```

## Where it is used

Log lines that resemble each other have a small angle between them, and
`a_very_long_name_that_goes_on_and_on_and_does_not_end_so_that_narrow_screens_must_cope_with_it` stays inside.

$$
\mathbf{y} = \begin{bmatrix} 1 & 2 & 3 & 4 & 5 & 6 & 7 & 8 & 9 & 10 & 11 & 12 & 13 & 14 & 15 & 16  \end{bmatrix}
$$

## Going further

- [Strang](https://example.org/strang)

## Interview

:::{dropdown} What is a dot product?
A projection, times a length: $a^\top b$.
:::
""",
    "unit.toml": """title = "Vectors and the dense layer"
summary = "Dot products, batches and the layer that every network is made of."
minutes = 90
needs = []
criteria = ["I can say what a dot product measures.", "I can write $XW + b$ for a batch."]

[exercise]
write = ["dot"]

[hints]
dot = ["Multiply, then add.", "The sum runs over the last axis.", "`np.sum(a * b)`."]

[[resources]]
title = "Essence of linear algebra"
author = "3Blue1Brown"
kind = "video"
minutes = 180
url = "https://example.org/essence"

[[roadmap]]
document = "004"
item = "L1"
""",
    "cards.toml": "\n".join(
        f"""[[card]]
id = "card-{i}"
front = "Question {i}: what is $a \\\\cdot b$?"
back = "Answer **{i}**, with <b>no HTML</b>."
"""
        for i in range(3)
    ),
    "figures.py": '''from typing import Annotated, Literal

from groundup.anatomy import Range, figure


@figure("The race")
def race(
    size: Annotated[int, Range(1, 10)] = 3,
    batch: Annotated[int, Range(10, 10000, log=True)] = 100,
    shape: Literal["line", "bars"] = "line",
    noisy: bool = False,
):
    """Loops against vectors, by *size*."""
    import plotly.graph_objects as go

    return go.Figure(go.Scatter(x=list(range(size)), y=[x * x for x in range(size)]))
''',
    "labs.py": '''from dataclasses import dataclass

from groundup.labs import Recorder, expect, lab


@dataclass(frozen=True)
class RaceConfig:
    """Settings of the race.

    Attributes:
        seed: seed of the vectors.
        batch: how many vectors.
        shuffle: whether the answers are shuffled.
    """

    seed: int = 0
    batch: int = 100
    shuffle: bool = False


@lab(
    title="Loops against vectors",
    question="How much faster is one call than a loop?",
    presets={"smoke": {"batch": 10}, "laptop": {"batch": 100}, "full": {"batch": 1000}},
    expectations=[expect("speedup", at_least=2.0)],
    sabotage=[{"shuffle": True}],
)
def race(config: RaceConfig, record: Recorder) -> None:
    """Time both."""
    record.result("speedup", 3.0)
''',
}


def write_sample_stack(folder: Path) -> Path:
    """Write the stack and return its folder."""
    unit = folder / "bedrock" / "vectors"
    unit.mkdir(parents=True)
    for name, text in FILES.items():
        (unit / name).write_text(text, encoding="utf-8")
    return folder
