"""The parts of a message that are values rather than words, replaced by `<*>`.

    mask("Received block blk_-160899 of size 91178 from /10.250.10.6")
    # "Received block blk_<*> of size <*> from /<*>"

What counts as a value: addresses (URL, e-mail, IP, MAC, UUID, path), hexadecimal and mixed identifiers, and every other
run of digits. Words are never touched: which of them are values is a question of statistics, and `templates` answers it.
"""

from __future__ import annotations

import re

VALUE = "<*>"
_MASK = re.compile(
    r"""
    <\*>                                                                        # masked already
  | (?<![A-Za-z])[a-z][a-z0-9+.-]{1,15}://[^\s"'<>,;)\]}]+                      # URL
  | (?<![\w.])(?:/[\w.@%+~$-]+){2,}/?                                            # path: two parts or more
  | (?<![\w.])(?:/[\w@%+~$-]*[\d.][\w.@%+~$-]*)                                  # path: one part, with a digit or a dot
  | \b[A-Za-z]:\\[^\s"',;]*                                                     # Windows path
  | \b[\w.+-]+@[\w-]+(?:\.[\w-]+)+                                              # e-mail
  | (?<![0-9A-Za-z])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Za-z])  # UUID
  | (?<![0-9A-Za-z:])(?:[0-9A-Fa-f]{2}[:-]){5,7}[0-9A-Fa-f]{2}(?![0-9A-Za-z])   # MAC
  | (?<![0-9A-Za-z:])(?:[0-9A-Fa-f]{0,4}:){3,7}[0-9A-Fa-f]{1,4}(?![0-9A-Za-z:]) # IPv6, or a time
  | (?<![0-9A-Za-z.])\d{1,3}(?:\.\d{1,3}){3}(?![0-9A-Za-z.])                    # IPv4
  | (?<![0-9A-Za-z])[-+]?0[xX][0-9A-Fa-f]+                                      # hexadecimal
  | (?<![0-9A-Za-z])(?=[0-9]*[A-Fa-f])(?=[A-Fa-f]*[0-9])[0-9A-Fa-f]{6,}(?![0-9A-Za-z])
  | (?<![0-9A-Za-z])(?:[A-Za-z]+[0-9]+){2,}[A-Za-z]*(?![0-9A-Za-z])             # mixed identifier
  | (?<![0-9A-Za-z])(?:[0-9]+[A-Za-z]+){2,}[0-9]*(?![0-9A-Za-z])
  | (?<![0-9A-Za-z)\]])[-+]?\d+(?:[.,]\d+)*                                      # number
  | \d+(?:\.\d+)*
    """,
    re.VERBOSE,
)


def mask(message: str) -> str:
    """A message with its values replaced by `<*>`."""
    return _MASK.sub(VALUE, message)


def values(message: str) -> list[str]:
    """The values that `mask` replaces, in order."""
    return _MASK.findall(message)


_DIGITS = re.compile(r"\d+")


class Masker:
    """`mask` with a memory: messages that differ in digits only are masked once, which is what makes a stream quick."""

    def __init__(self, size: int = 100_000) -> None:
        self.size = size
        self._known: dict[str, str] = {}

    def __call__(self, message: str) -> str:
        """The message masked, as the first message with the same text between its digits was."""
        shape = _DIGITS.sub("0", message)
        masked = self._known.get(shape)
        if masked is None:
            if len(self._known) >= self.size:
                self._known.clear()
            masked = self._known[shape] = mask(message)
        return masked
