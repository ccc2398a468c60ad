"""Values that do not belong where they are put: JSON of every wrong kind, odd numbers, odd texts."""

import random
import sys
from typing import Any

BIGINT_MAX = 2**63 - 1
INTEGERS = (
    -1,
    0,
    1,
    11,
    2**31 - 1,
    2**31,
    2**32,
    2**53 + 1,
    BIGINT_MAX,
    BIGINT_MAX + 1,
    -(2**63),
    -(2**63) - 1,
    2**64,
    10**30,
)
# Texts of JSON numbers: Python would write them otherwise, or not at all.
NUMBERS = (
    "1.0", "1e0", "-0", "-0.0", "1E+2", "1e400", "-1e400", "1e-400", "0.1", "2.5", "1" + "0" * 400, "1" * 4301, "1" * 20_000,
    "9007199254740993.0", "1e1000000000", "0e99999", "-9223372036854775809", "3.0000000000000000000001",
)  # fmt: skip
NOT_NUMBERS = (
    "NaN",
    "Infinity",
    "-Infinity",
    "01",
    "+1",
    "0x10",
    "1_000",
    ".5",
    "5.",
    "1e",
    "undefined",
    "None",
    "True",
    "'a'",
    "٣",
)
TEXTS = (
    "", " ", "\t\n", "1", "true", "null", "\x00", "a\x00b", "\ud800", "a\udfffb", "\udc00\ud800", "\ufeff", "\u202eabc", "e\u0301" * 300,
    "🎫" * 50, "ﷺ" * 200, "x" * 256, "x" * 10_000, "٣", "①", "Å", "ß" * 129, "İ", "\x7f", "\x1b[31m", "a\r\nX-Evil: 1", "\u2028",
    "' OR 1=1 --", '"; drop table users; --', "%s%s%n", "{0}", "{{7*7}}", "${7*7}", "../../../../etc/passwd", "<script>1</script>",
    "=1+1", "\\", "%00", "\\u0000", "javascript:alert(1)", "file:///etc/passwd", "\U0010ffff", "\ufffe", "a" * 63 + "\u0000",
)  # fmt: skip
INSTANTS = (
    "2030-06-01", "2030-06-01T18:00:00", "2030-02-30T00:00:00Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00", "9999-12-31T23:59:60Z", "10000-01-01T00:00:00Z", "-0001-01-01T00:00:00Z", "2030-06-01T24:00:00Z",
    "2030-06-01T18:00:00+99:99", "2030-06-01T18:00:00.1234567890123Z", "2030-06-01 18:00:00Z", "2030-W22-6T18:00:00Z",
    "20300601T180000Z", "2030-06-01T18:00:00z", "٢٠٣٠-٠٦-٠١T١٨:٠٠:٠٠Z", "2030-06-01T18:00:00+00:00:01", "now", "infinity", "epoch",
    "1970-01-01T00:00:00Z", "2030-06-01T18:00:00Z\x00", "2030-06-01T18:00:00[Europe/Paris]", "253402300800", "0001-01-01T00:00:00Z",
)  # fmt: skip
ZONES = (
    "../../../etc/localtime",
    "/etc/localtime",
    "Europe",
    "europe/paris",
    "Europe/Paris\x00",
    "UTC" * 100,
    "posixrules",
    ".",
    "..",
    "Europe/",
    "localtime",
    "GMT+25",
    "con",
)
LINKS = (
    "http://", "http://[", "http://[::1", "http://a b", "https://user:pw@h", "http://h:99999999", "http://h:x", "//h", "http:\\\\h", "HTTP://H",
    "https://h\x00", "https://\ud800", "https://xn--", "http://" + "h" * 3000, "data:,x", "http://h/\r\nX: y", "http://٣", "http://%00", "https://h#" + "f" * 2048,
)  # fmt: skip
ADDRESSES = (
    "a",
    "@",
    "a@",
    "@b",
    "a@b@c.de",
    "a b@c.de",
    "a@b..c",
    "a@" + "b" * 250 + ".de",
    "é@exämple.org",
    "a\x00@b.de",
    "<a@b.de>",
    "a@b.de\r\nBcc: x@y.de",
    "a@[127.0.0.1]",
    "A@B.DE ",
    '"a b"@c.de',
    "a@b.de,c@d.de",
)
UUIDS = (
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "{01900000-0000-7000-8000-000000000000}",
    "urn:uuid:01900000-0000-7000-8000-000000000000",
    "01900000000070008000000000000000",
    "01900000-0000-7000-8000-00000000000g",
)
NAMES = (
    "",
    "id",
    "role",
    "host_id",
    "is_admin",
    "__proto__",
    "constructor",
    "_schema",
    "version",
    "a/b",
    "a~b",
    "a\x00b",
    "\ud800",
    "x" * 1000,
    "$ref",
    "self",
    "data",
    "many",
    "__class__",
    "tickets ",
    "Tickets",
    "٣",
)


class Raw:
    """A piece of text that stands in a body as it is, JSON or not."""

    def __init__(self, text: str) -> None:
        self.text = text


def odd_text(rng: random.Random) -> str:
    """Text of any of these kinds."""
    return rng.choice(rng.choice((TEXTS, TEXTS, INSTANTS, ZONES, LINKS, ADDRESSES, UUIDS)))


def odd_value(rng: random.Random) -> Any:
    """A value that hardly any field takes."""
    match rng.randrange(9):
        case 0:
            return rng.choice((None, True, False, [], {}, [[]], {"": None}, [None], [{}]))
        case 1 | 2:
            return rng.choice(INTEGERS)
        case 3:
            return Raw(rng.choice(NUMBERS))
        case 4:
            return Raw(rng.choice(NOT_NUMBERS)) if rng.randrange(4) == 0 else rng.uniform(-1e18, 1e18)
        case 5:
            return [odd_text(rng)] * rng.choice((1, 3, 200))
        case 6:
            return {odd_text(rng): odd_text(rng)}
        case _:
            return odd_text(rng)


def nested(rng: random.Random) -> str:
    """JSON that goes deep: some of it deeper than any reader follows."""
    depth = rng.choice((10, 100, 500, sys.getrecursionlimit() + 10, 5_000, 10_000))
    opening, closing = rng.choice((("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")))
    return opening * depth + rng.choice(("1", "", "null")) + (closing * depth if rng.randrange(3) else "")
