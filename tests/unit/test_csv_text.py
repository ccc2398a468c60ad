"""CSV: what goes in comes out, and nothing in it is a formula."""

import csv
import io

import pytest

from api.csv_text import csv_text


def read(text: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.decode(), newline="")))


def test_what_goes_in_comes_out():
    rows = [("a", 'with "quotes", and commas', 7, None), ("b", "two\r\nlines", 0, "Élodie 🎟")]
    assert read(csv_text(rows)) == [[("" if cell is None else str(cell)) for cell in row] for row in rows]


def test_lines_end_as_the_rfc_says():
    assert csv_text([("a", 1, None), ("b", 2, "c")]) == b"a,1,\r\nb,2,c\r\n"


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        '=HYPERLINK("http://x","y")',
        "-a@example.org",
        "＝1",
        "＠x",
    ],
)
def test_a_text_that_begins_like_a_formula_is_a_text(cell):
    assert read(csv_text([(cell,)])) == [[f"'{cell}"]]


@pytest.mark.parametrize("cell", ["a=1", "O'Neill", "K7Q2-9XMD", "ada@example.org", "", " =1", -5, 7])
def test_everything_else_stays_as_it_is(cell):
    assert read(csv_text([(cell, "x")])) == [[str(cell), "x"]]
