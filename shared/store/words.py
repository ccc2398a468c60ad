"""Searching by words: each word of a search begins a word of what is found, in any case and any order."""

import re
from typing import Final

# What stands between words, as the migrations split names: ASCII that is no letter and no digit.
_BETWEEN_WORDS: Final = re.compile(r"[\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f]+")


def prefixes(search: str) -> str:
    """`search` as a tsquery: `'ada':* & 'exam':*`; empty when it has no word. Quotes stand between words."""
    return " & ".join(f"'{word}':*" for word in _BETWEEN_WORDS.split(search) if word)
