"""Characters that do something where they are written, each with how reglab writes it out."""

import os

UNPRINTED = {
    "a\x1b[2Jb": r"a\x1b[2Jb",  # clears the screen
    "\x1b]0;title\x07": r"\x1b]0;title\x07",
    "\x1b]8;;http://x\x1b\\y": "\\x1b]8;;http://x\\x1b\\y",  # a link
    "a\nreglab: all is well": r"a\nreglab: all is well",
    "a\rb": r"a\rb",
    "a\tb": r"a\tb",
    "\x9b31m": r"\x9b31m",  # the same as ESC [
    "\x7f\x00\x08": r"\x7f\x00\x08",
    "a\u2028b\u2029": r"a\u2028b\u2029",
    "\u202egnp.exe": r"\u202egnp.exe",  # reads from the right
    "\u2066x\u2069\u200f": r"\u2066x\u2069\u200f",
    "a\u00adb\ufeff": r"a\xadb\ufeff",
    "\ud800": r"\ud800",
    "\U000e0041": r"\U000e0041",
    os.fsdecode(b"\xff"): r"\xff",
}
