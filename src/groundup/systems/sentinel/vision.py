"""Screenshots: a page's likeness to the phishing pages that trained a small convolutional network.

    detector = ScreenDetector.read(folder)
    detector.judge(open_screenshot(data))        # Judgement(score=…, evidence=(…))

The network (`deep/convolution`) sees the upper part of the page at 64 × 64 pixels. A line
fitted to pages of unseen brands turns its logits into probabilities (Platt, 1999), so a network that knows little says
little.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from groundup.data.readers import SCREEN, screen
from groundup.errors import StoreError, UsageError
from groundup.extras import need
from groundup.systems.sentinel.judgement import Judgement
from groundup.systems.sentinel.weightfiles import Learnt, read

if TYPE_CHECKING:
    from torch import Tensor, nn

FORMATS = ("PNG", "JPEG", "WEBP")
MOST_BYTES, MOST_PIXELS = 20 << 20, 40_000_000
CHANNELS = (3, 8, 16, 16)


def open_screenshot(data: bytes) -> np.ndarray:
    """A screenshot file as (64, 64, 3), uint8.

    Raises:
        UsageError: the file is too large, in bytes or in pixels, or no readable picture.
        MissingPackage: Pillow is not installed.
    """
    need("Screenshots", "PIL", "torch")
    from PIL import Image

    if len(data) > MOST_BYTES:
        raise UsageError(f"screenshot must have at most {MOST_BYTES:,} bytes, got {len(data):,}. Send a smaller one.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the rule on pixels below is stricter
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > MOST_PIXELS:
            raise Image.DecompressionBombError(f"{image.width:,} × {image.height:,}")
        return screen(image)
    except Image.DecompressionBombError as error:  # Pillow raises it, too, before the size is known
        raise UsageError(f"screenshot must have at most {MOST_PIXELS:,} pixels, and it has more. Reduce it.") from error
    # Pillow's errors on damaged files share no base class: OSError, SyntaxError, ValueError, struct.error and others.
    except Exception as error:
        raise UsageError(
            f"screenshot must be a picture in PNG, JPEG or WebP, and it cannot be read ({type(error).__name__}). "
            "Take it again."
        ) from error


def as_tensor(pixels: np.ndarray) -> Tensor:
    """Pictures (n, 64, 64, 3), uint8, as (n, 3, 64, 64) from 0 to 1."""
    import torch

    return torch.from_numpy(pixels.transpose(0, 3, 1, 2).astype(np.float32) / 255)


def network() -> nn.Sequential:
    """The untrained network."""
    from groundup.stack.deep.convolution import small_cnn

    return small_cnn(CHANNELS, SCREEN, 2)


class ScreenDetector:
    """The trained detector; see `training.train_vision`."""

    def __init__(self, learnt: Learnt) -> None:
        import torch

        self.learnt, self.network = learnt, network()
        arrays: Mapping[str, np.ndarray] = learnt.arrays
        try:
            state = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items() if name != "calibration"}
            self.network.load_state_dict(state)
            self.slope, self.offset = arrays["calibration"].tolist()
        except (KeyError, RuntimeError, ValueError) as error:
            raise StoreError(
                f"models must hold a network of {CHANNELS} channels for screenshots, and its file does not: "
                f"{str(error).splitlines()[0]}. Train it again: groundup sentinel train vision --again"
            ) from error
        self.network.eval()

    @classmethod
    def read(cls, folder: Path) -> ScreenDetector:
        """The detector of a folder, or the included detector.

        Raises:
            StoreError: see `weightfiles.read`.
            MissingPackage: PyTorch is not installed.
        """
        need("Screenshots", "PIL", "torch")
        return cls(read("vision", folder))

    def logits(self, pictures: Tensor) -> Tensor:
        """Two logits for each picture from 0 to 1: legitimate, phishing."""
        return self.network(pictures)

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """The probability of phishing of pictures (n, 64, 64, 3), as if half of all pages were phishing."""
        return self.calibrated(as_tensor(pixels))

    def calibrated(self, pictures: Tensor) -> np.ndarray:
        """The same for pictures from 0 to 1."""
        import torch

        with torch.no_grad():
            logits = self.logits(pictures).numpy().astype(float)
        return calibrated(logits[:, 1] - logits[:, 0], self.slope, self.offset)

    def judge(self, pixels: np.ndarray) -> Judgement:
        """The score of one screenshot."""
        score = float(self.probabilities(pixels[None])[0])
        auc: Any = self.learnt.metrics.get("auc")
        caution = f" On brands that it never saw, its AUC is {auc:.2f}." if isinstance(auc, float) else ""
        return Judgement(score, (f"The page looks like phishing with probability {score:.2f}.{caution}",))


def calibrated(scores: np.ndarray | Sequence[float], slope: float, offset: float) -> np.ndarray:
    """Scores as probabilities."""
    from groundup.stack.classical.logistic_regression import sigmoid

    return sigmoid(slope * np.asarray(scores, dtype=float) + offset)
