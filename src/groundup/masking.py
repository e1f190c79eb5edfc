"""The parts of a message that are values rather than words, replaced by `<*>`.

    mask("Received block blk_-160899 of size 91178 from /10.250.10.6")
    # "Received block blk_<*> of size <*> from /<*>"

What counts as a value: addresses (URL, e-mail, IP, MAC, UUID, path), hexadecimal and mixed identifiers, and every other
run of digits. Words are not touched: which of them are values is a question of statistics, and `templates` answers it.
"""

from __future__ import annotations

import re

VALUE = "<*>"
_DATE = r"""(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*[ -]+\d{1,4}\b
      (?:,?\ +\d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d+)?)?(?:\ +[A-Z]{3,4}\b)?(?:\ +\d{4}\b)?"""
_HOST = r"""(?<![\w.])(?:[a-z0-9-]+\.){2,}[a-z]{2,}(?![\w.])
    | (?<![\w.])(?:[a-z0-9-]+\.)+(?:com|net|org|edu|gov|io|local|internal|svc)(?![\w.])"""
_MAIL = r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
_HEX = r"""[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Za-z])         # UUID
      | (?<!:)(?:[0-9A-Fa-f]{2}[:-]){5,19}[0-9A-Fa-f]{2}(?![0-9A-Za-z])             # MAC
      | (?<!:)(?:[0-9A-Fa-f]{0,4}:){3,20}[0-9A-Fa-f]{1,4}(?![0-9A-Za-z:])           # IPv6"""
# Most places of a message begin no value. What a value may begin with is tested first: to try all of its forms in each
# place takes three times as long.
_MASK = re.compile(
    rf"""
    (?<![A-Za-z])(?=[A-Za-z])(?:                                                  # the first letter of a word:
      \b(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,?\ +)?(?:\d{{1,2}}[ -])?{_DATE}     # date in words
    | (?=[A-Za-z]*+[\w+.:@-])(?:                                                  # not of letters alone
        [a-z][a-z0-9+.-]{{1,15}}://[^\s"'<>,;)\]}}]+                                # URL
      | {_HOST}
      | \b[A-Za-z]:\\[^\s"',;]*                                                   # Windows path
      | {_MAIL}
      | (?<![0-9])(?:
        {_HEX}
      | (?=[A-Fa-f]*[0-9])[0-9A-Fa-f]{{6,}}(?![0-9A-Za-z])                          # hexadecimal
      | (?:[A-Za-z]+[0-9]+){{2,}}[A-Za-z]*(?![0-9A-Za-z])                           # mixed identifier
      ))
    | (?<==)(?:null|none|nil|yes|no)\b                                            # key=null
    | \b(?:true|false|True|False|TRUE|FALSE)\b(?!-)                               # true or false
    )
  | (?=[<"/])(?:
      <\*>                                                                        # masked already
    | (?<![\w.])(?:/[\w.@%+~$-]+){{2,}}/?                                          # path: two parts or more
    | (?<![\w.])(?!/\d+(?:\.\d+){{3}})(?:/[\w@%+~$-]*[\d.][\w.@%+~$-]*)    # path: one part, with a digit or a dot
    | (?<==)"[^"]*"                                                               # key="…"
    | <\d+(?:\.\d+)?\ ?(?:ms|sec|s|min|h)\b                                      # less than a second
    )
  | (?![A-Za-z])(?=[\w.:+-])(?:                                                   # a digit, or a sign before one:
      \d++(?=[\s;)\]"']|$)(?!\ [A-Zk])                                             # a number that is no more than that
    | \b\d{{1,2}}[ -]{_DATE}
    | {_HOST}
    | {_MAIL}
    | (?<![0-9A-Za-z])(?:
        {_HEX}
      | (?<!\.)\d{{1,3}}(?:\.\d{{1,3}}){{3}}(?![0-9A-Za-z.])                        # IPv4
      | [-+]?0[xX][0-9A-Fa-f]+                                                    # hexadecimal
      | (?=[0-9]*[A-Fa-f])[0-9A-Fa-f]{{6,}}(?![0-9A-Za-z])
      | (?:[0-9]+[A-Za-z]+){{2,}}[0-9]*(?![0-9A-Za-z])                              # mixed identifier
      | \d+(?:\.\d+)?\ ?(?:[KMGT]i?B|kB|B|(?<=\d)[KMG])(?![\w-])                  # a size with its unit
      | (?<![)\]])[-+]?\d+(?:[.,]\d+)*                                            # number
      )
    | \d+(?:\.\d+)*
    )
    """,
    re.VERBOSE,
)


# A name that holds a value is a value: `dsl-<*>.example`, `R<*>-M<*>`; but not `blk_<*>`, where the name is a word.
_JOINED = re.compile(
    r"(?=[\w.~@/+-]*+<\*>)(?:(?:(?<!\w)|(?=<))(?:"  # else it cannot match: most words are passed over by this test
    r"(?:\w+[.~@/+-])*\w*<\*>\w*(?:(?:[._~@/+-]\w*<\*>\w*)+(?:[._~@+-]\w+)*|(?:[.~@+-]\w+)+)|(?:\w+[.~@+-])+\w*<\*>\w*"
    r")|<\*>[A-Za-z]+<\*>\w*|(?<![A-Za-z])[A-Za-z]+<\*>[A-Za-z]+\w*)"
)
_LIST = re.compile(r"\[[^\[\]\s]*<\*>(?:[\s,]+[^\[\]\s]*<\*>)+\]")
# What SQL lists: `IN (1, 2, 3)`, `VALUES (1, 'a'), (2, 'b')`; one list is as another, however long.
_ITEM = r"(?:'[^']*'|\"[^\"]*\"|[$:]?<\*>|\?|:\w+|NULL|null|DEFAULT)"
_ITEMS = rf"\(\s*{_ITEM}(?:\s*,\s*{_ITEM})*\s*\)"
_SQL = re.compile(rf"\b(IN|VALUES|in|values)\s*{_ITEMS}(?:\s*,\s*{_ITEMS})*")
_EMPTY = re.compile(r"(?<= )\(\)(?= |$)")


def mask(message: str) -> str:
    """A message with its values replaced by `<*>`."""
    masked = _MASK.sub(VALUE, message)
    if "<*>" in masked:
        masked = _JOINED.sub(VALUE, masked).replace(f"{VALUE}{VALUE}", VALUE)
        masked = _LIST.sub(f"[{VALUE}]", masked) if "[" in masked else masked
    if "(" in masked and ("IN" in masked or "VALUES" in masked or "in" in masked or "values" in masked):
        masked = _SQL.sub(rf"\1 ({VALUE})", masked)
    return _EMPTY.sub("(<*>)", masked) if " ()" in masked else masked


_DIGITS = re.compile(r"\d+")
_ZEROS = bytes.maketrans(b"123456789", b"000000000")
LOOK = 2_000  # characters of a message that are masked; what is beyond does not tell one kind of message from another


class Masker:
    """`mask` with a memory: messages that differ in digits only are masked once, which is what makes a stream quick."""

    def __init__(self, size: int = 100_000) -> None:
        self.size = size
        self._known: dict[str | bytes, str] = {}

    def __call__(self, message: str) -> str:
        """The message masked, as the first message with the same text between its digits was."""
        message = message[:LOOK]
        exact = message.encode("utf-8", "surrogatepass").translate(_ZEROS)  # quicker than to look for runs of digits
        masked = self._known.get(exact)
        if masked is None:
            shape = _DIGITS.sub("0", message)
            masked = self._known.get(shape)
            if len(self._known) >= self.size:
                self._known.clear()
            if masked is None:
                masked = self._known[shape] = mask(message)
            self._known[exact] = masked
        return masked
