"""The page of `guichet bench`: everything that was measured is on it, nothing else is needed to read it."""

import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from scripts.benches.figures import Figure, Measurement
from scripts.benches.report import scales
from scripts.benches.report.circumstances import Circumstances, Machine
from scripts.benches.report.page import make_page
from scripts.benches.series import Curve, Distribution, Line, Table

VOID = {"meta", "link", "br", "hr", "img", "input", "col", "wbr"}
ATTACK = "<script>alert('x')</script>\"'&"


class Reader(HTMLParser):
    """Tags with their attributes, and the text; complains about what is not closed."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.open, self.words = [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def count(self, tag):
        return sum(found == tag for found, _ in self.tags)


def circumstances(**changes):
    machine = Machine(
        cores=2,
        processor="A processor",
        memory_bytes=24 * 2**30,
        system="Linux",
        python="3.11.2",
        release="0.1.0",
    )
    values = {
        "machine": machine,
        "quick": False,
        "began_at": datetime(2026, 11, 27, 22, 5, tzinfo=UTC),
        "load_before": 0.3,
        "began": 0.0,
        "seconds": 195.0,
        "load_after": 2.2,
    }
    return Circumstances(**values | changes)


def accepts():
    return Measurement(
        figures=[
            Figure(
                what="accepts, 64 connections",
                value=4_291,
                unit="/s",
                bar=3_000,
                note="5 rounds",
                client_cpu=0.4,
            ),
            Figure(what="  × no-op route", value=0.29, unit="×", bar=0.33),
            Figure(what="  no-op route", value=12_184, unit="/s"),
            Figure(what="  accept p99", value=37, unit="ms", bar=60, at_most=True),
            Figure(what="API process", value=81, unit="MB", bar=90, at_most=True),
        ],
        audited_rows=8_000,
        distributions=[
            Distribution(
                what="accept latency", values=[1.0 + (n * 7_919 % 1_000) ** 2 / 20_000 for n in range(5_000)]
            )
        ],
    )


def scaling():
    kinds = [("API", [357, 380, 410]), ("Redis", [49, 45, 44]), ("client", [15, 16, 18])]
    return Measurement(
        figures=[Figure(what="model against measured, farthest off", value=0.09, bar=0.15, at_most=True)],
        curves=[
            Curve(
                what="accepts over API processes",
                x="API processes",
                lines=[
                    Line(name="measured", points=[(1, 2_500), (2, 4_291), (4, 4_400)]),
                    Line(name="model", points=[(1, 2_801), (2, 4_750), (4, 4_750)], is_model=True),
                ],
            ),
            Curve(
                what="CPU of each by kind of process",
                x="API processes",
                unit="µs",
                is_stacked=True,
                lines=[
                    Line(name=name, points=list(zip((1, 2, 4), values, strict=True)))
                    for name, values in kinds
                ],
            ),
            Curve(
                what="resident memory over decisions",
                x="decisions",
                unit="MB",
                lines=[
                    Line(name=name, points=[(n * 50_000, base + (n % 3) * 0.4) for n in range(21)])
                    for name, base in (("API", 81), ("worker", 71), ("Redis", 48))
                ],
            ),
        ],
        tables=[
            Table(
                what="other sizes",
                columns=("cores", "accepts a second"),
                rows=[("16", "20,000 (Redis)")],
                note="n",
            )
        ],
    )


@pytest.fixture(scope="module")
def page():
    return make_page({"accepts": accepts(), "scaling": scaling()}, circumstances())


class TestThePage:
    def test_has_every_figure_with_its_bar_verdict_and_circumstances(self, page):
        text = Reader(page).text
        for words in (
            "accepts, 64 connections",
            "4,291 /s",
            "≥ 3,000 /s",
            "FALLS SHORT",
            "PASS",
            "≤ 60.0 ms",
        ):
            assert words in text
        assert "5 rounds; client 0.40 of a core" in text
        for figure in [*accepts().figures, *scaling().figures]:
            assert figure.what.strip() in text

    def test_has_a_chart_for_everything_that_can_be_drawn(self, page):
        reader = Reader(page)
        assert reader.count("svg") == 2 * len(accepts().distributions) + len(scaling().curves)
        assert {"samples", "percentile", "99.9"} <= {words.strip() for words in reader.words}
        for name in (
            "accept latency",
            "accepts over API processes",
            "CPU of each by kind of process",
            "other sizes",
        ):
            assert name in reader.text

    def test_tells_each_chart_in_words(self, page):
        labels = [attributes["aria-label"] for tag, attributes in Reader(page).tags if tag == "svg"]
        assert all(labels)
        assert any("measured 1: 2,500 /s, 2: 4,291 /s, 4: 4,400 /s" in said for said in labels)

    def test_draws_the_models_line_dashed_and_says_which_it_is(self, page):
        reader = Reader(page)
        drawn = [attributes["class"] for tag, attributes in reader.tags if tag == "path"]
        assert "line-1 model" in drawn
        assert ("i", {"class": "swatch-1 dashed"}) in reader.tags

    def test_needs_nothing_from_elsewhere(self, page):
        reader = Reader(page)
        assert {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & {
            t for t, _ in reader.tags
        } == set()
        addresses = [
            value
            for _, attributes in reader.tags
            for name, value in attributes.items()
            if name in {"href", "src", "xlink:href", "action", "data", "srcset"}
        ]
        assert all(address.startswith("#") for address in addresses)
        assert re.findall(r"https?:|//[a-z]|url\(|@import|\son[a-z]+=", page) == []
        assert "default-src 'none'" in page

    def test_links_to_sections_that_are_there(self, page):
        reader = Reader(page)
        ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
        targets = {attributes["href"][1:] for tag, attributes in reader.tags if tag == "a"}
        assert len(ids) == len(set(ids))
        assert targets <= set(ids)
        assert {"accepts", "scaling", "circumstances"} <= targets

    def test_shows_names_and_notes_as_text_whatever_is_in_them(self):
        hostile = Measurement(
            figures=[Figure(what=ATTACK, value=1, unit="/s", bar=2, note=ATTACK)],
            violations=[ATTACK],
            distributions=[Distribution(what=ATTACK, values=[1.0, 2.0], unit=ATTACK, note=ATTACK)],
            curves=[
                Curve(
                    what=ATTACK,
                    x=ATTACK,
                    unit=ATTACK,
                    note=ATTACK,
                    lines=[Line(name=ATTACK, points=[(1, 2)])],
                ),
                Curve(what=ATTACK, x=ATTACK, lines=[Line(name=ATTACK, points=[(1, 2)])], is_stacked=True),
            ],
            tables=[Table(what=ATTACK, columns=[ATTACK], rows=[[ATTACK]], note=ATTACK)],
        )
        machine = Machine(
            cores=2, processor=ATTACK, memory_bytes=1, system=ATTACK, python=ATTACK, release=ATTACK
        )
        page = make_page({"hostile": hostile}, circumstances(machine=machine))
        assert "<script" not in page
        assert ATTACK in Reader(page).text
        assert {name for _, attributes in Reader(page).tags for name in attributes} & {
            "onload",
            "alert",
        } == set()

    def test_says_when_a_promise_is_broken(self):
        broken = Measurement(violations=["event 7 is oversold"], audited_rows=3)
        text = Reader(make_page({"decisions": broken}, circumstances())).text
        assert "1 WRONG" in text
        assert "event 7 is oversold" in text
        assert "AUDIT CLEAN" not in text

    def test_warns_of_a_machine_that_others_used(self):
        assert "others were using the machine" in make_page({}, circumstances(load_before=9.0))
        assert "others were using the machine" not in make_page({}, circumstances())

    def test_draws_what_is_hardly_anything(self):
        little = Measurement(
            figures=[
                Figure(what="none", value=0, unit="/s", bar=100),
                Figure(what="no bytes", value=0, unit="MB"),
            ],
            distributions=[
                Distribution(what="one", values=[5.0]),
                Distribution(what="nothing took time", values=[0.0, 0.0]),
            ],
            curves=[
                Curve(what="flat", x="n", lines=[Line(name="zero", points=[(1, 0), (2, 0)])]),
                Curve(what="flat stack", x="n", lines=[Line(name="zero", points=[(1, 0)])], is_stacked=True),
            ],
        )
        page = make_page({"little": little}, circumstances())
        assert Reader(page).count("svg") == 6
        assert "nan" not in page.lower().replace("nanos", "")


class TestAnAxis:
    @pytest.mark.parametrize("largest", [0.003, 0.9, 1, 7, 99, 4_291, 12_184, 1_000_000])
    def test_from_zero_ends_at_a_round_number_above_everything(self, largest):
        axis = scales.linear(largest)
        assert 0.5 < axis.place(largest) <= 1
        assert axis.place(axis.ticks[-1]) == pytest.approx(1)
        assert 3 <= len(axis.ticks) <= 6

    @pytest.mark.parametrize(("least", "largest"), [(1, 2), (0.4, 900), (3, 3), (0, 10), (0.001, 1_000)])
    def test_of_magnitudes_has_few_ticks_within_its_ends(self, least, largest):
        axis = scales.logarithmic(least, largest)
        assert 0 <= axis.place(least) <= axis.place(largest) <= 1
        assert len(axis.ticks) <= 10

    def test_of_percentiles_gives_each_nine_the_same_room(self):
        axis = scales.nines([0, 0.5, 0.9, 0.99, 0.999, 1])
        steps = [axis.place(0.99) - axis.place(0.9), axis.place(0.999) - axis.place(0.99)]
        assert steps[0] == pytest.approx(steps[1])
        assert axis.place(1) == 1
