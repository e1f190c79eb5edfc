"""The sample unit of `sample_stack`: small, whole enough to run, and not whole enough to pass the author's gate."""

from pathlib import Path

from groundup.course.material.unit import Unit, load_unit

SAMPLE = Path(__file__).parent / "sample_stack" / "bedrock" / "scaling"


def sample_unit() -> Unit:
    return load_unit(SAMPLE)
