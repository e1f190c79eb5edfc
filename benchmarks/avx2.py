"""Benchmarks as on an x86 processor with AVX2 and no AVX-512: `uv run python -m benchmarks.avx2 embedding`.

Such processors are common and have no VNNI, so ONNX Runtime multiplies 8-bit integers there in another way, which is
slower and sums two products in 16 bits. No setting keeps ONNX Runtime from AVX-512, so it is copied to a temporary
folder, and the one jump behind its test for AVX-512 is taken out of the copy. PyTorch has settings.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

TEST_AND_JUMP = b"\xa8\xe0\x0f\x84"  # test al, 0xe0 (the registers of AVX-512 are saved); je to what uses them
JUMP_BYTES = 6
PYTORCH = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}


def copy_without_avx512(folder: Path) -> None:
    """Put an ONNX Runtime that uses AVX2 at most into `folder`.

    Raises:
        SystemExit: this build of ONNX Runtime has no such test, or several: it is not for x86, or a newer one.
    """
    spec = find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        raise SystemExit("benchmarks.avx2 needs ONNX Runtime, which is not installed.")
    package = shutil.copytree(Path(spec.origin).parent, folder / "onnxruntime")
    (library,) = package.glob("capi/onnxruntime_pybind11_state*")
    code = library.read_bytes()
    count = code.count(TEST_AND_JUMP)
    if count != 1:
        raise SystemExit(
            f"benchmarks.avx2 looks for one test for AVX-512 in {library.name} and there are {count}: "
            "it knows ONNX Runtime 1.32 for Linux on x86-64. Measure on a processor without AVX-512 instead."
        )
    jump = code.index(TEST_AND_JUMP) + 2
    library.write_bytes(code[:jump] + b"\x90" * JUMP_BYTES + code[jump + JUMP_BYTES :])


def environment(folder: Path) -> dict[str, str]:
    """What a process must see to find the copy in `folder`."""
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    return {**os.environ, **PYTORCH, "PYTHONPATH": path, "GROUNDUP_AVX2_ONLY": "1"}


def main() -> int:
    """Run the benchmarks that are named, with AVX2 at most."""
    with tempfile.TemporaryDirectory(prefix="groundup-avx2-") as folder:
        copy_without_avx512(Path(folder))
        return subprocess.run(
            [sys.executable, "-m", "benchmarks", *sys.argv[1:]], env=environment(Path(folder)), check=False
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
