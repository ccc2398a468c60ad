"""Distributions and curves as inline SVG."""

from collections.abc import Iterator
from pathlib import Path

from markupsafe import Markup

from scripts.benches.report import words
from scripts.benches.report.frame import Frame, block, dot, label, path
from scripts.benches.report.scales import evenly, linear, logarithmic, nines
from scripts.benches.series import Curve, Distribution

# So few abscissas are names rather than amounts: 1, 2, 4 processes.
_FEW = 6


def draw_histogram(distribution: Distribution) -> Markup:
    """How often which value was measured; the abscissa is logarithmic."""
    bins = distribution.histogram()
    most = max(count for _, _, count in bins)
    frame = Frame(
        x=logarithmic(bins[0][0], bins[-1][1]),
        y=linear(most),
        x_title=distribution.unit,
        y_title="samples",
        says=f"{distribution.what}: {len(distribution.values):,} samples, {_spelled(distribution)}",
        has_upright_rules=False,
    )

    def columns() -> Iterator[Markup]:
        for low, high, count in bins:
            if count:
                (left, top), (right, bottom) = frame.at(low, count), frame.at(high, 0)
                says = f"{words.number(low)} … {words.number(high, distribution.unit)}: {count:,}"
                yield block(left, top, right - 0.6, bottom, "fill-0", says)

    return frame.draw(columns())


def draw_percentiles(distribution: Distribution) -> Markup:
    """Which value how many do not exceed; each nine more takes as much room as the one before."""
    points = distribution.percentiles()
    frame = Frame(
        x=nines([share for share, _ in points]),
        y=logarithmic(points[0][1], points[-1][1]),
        x_title="percentile",
        y_title=distribution.unit,
        says=f"{distribution.what}: {_spelled(distribution)}",
        spell_x=_percent,
    )
    places = [(frame.at(share, value), share, value) for share, value in points]

    def marks() -> Iterator[Markup]:
        yield path([place for place, _, _ in places], "line-0")
        for place, share, value in places:
            name = "largest" if share == 1 else f"p{_percent(share)}"
            yield dot(*place, "fill-0", f"{name}: {words.number(value, distribution.unit)}")

    return frame.draw(marks())


def style() -> str:
    """What gives them, and the page around them, their colours; of the page's own, not fetched."""
    return Path(__file__).with_name("page.css").read_text()


def draw_curve(curve: Curve) -> Markup:
    """Lines, or columns of what is stacked."""
    return _stack(curve) if curve.is_stacked else _lines(curve)


def _lines(curve: Curve) -> Markup:
    xs = sorted({x for line in curve.lines for x, _ in line.points})
    frame = Frame(
        x=evenly(xs) if len(xs) <= _FEW else linear(xs[-1]),
        y=linear(max((y for line in curve.lines for _, y in line.points), default=0)),
        x_title=curve.x,
        y_title=_spelled_unit(curve.unit),
        says=_in_words(curve),
    )

    def marks() -> Iterator[Markup]:
        for number, line in enumerate(curve.lines):
            places = [frame.at(x, y) for x, y in line.points]
            yield path(places, f"line-{number}{' model' if line.is_model else ''}")
            if len(xs) > _FEW:
                continue
            for (x, y), (_, value) in zip(places, line.points, strict=True):
                yield dot(x, y, f"fill-{number}", f"{line.name}: {words.number(value, curve.unit)}")

    return frame.draw(marks())


def _stack(curve: Curve) -> Markup:
    xs = [x for x, _ in curve.lines[0].points]
    tops = dict.fromkeys(xs, 0.0)
    totals = {x: sum(dict(line.points).get(x, 0.0) for line in curve.lines) for x in xs}
    frame = Frame(
        x=evenly(xs),
        y=linear(max(totals.values())),
        x_title=curve.x,
        y_title=_spelled_unit(curve.unit),
        says=_in_words(curve),
        has_upright_rules=False,
    )
    half = min(40.0, 120 / len(xs))

    def marks() -> Iterator[Markup]:
        for number, line in enumerate(curve.lines):
            for x, value in line.points:
                middle, bottom = frame.at(x, tops[x])
                tops[x] += value
                top = frame.at(x, tops[x])[1]
                says = f"{line.name}: {words.number(value, curve.unit)}"
                yield block(middle - half, top, middle + half, bottom, f"fill-{number}", says)
        for x, total in totals.items():
            place = frame.at(x, total)
            yield label(place[0], place[1] - 4, words.short(round(total, 1)))

    return frame.draw(marks())


def _in_words(curve: Curve) -> str:
    told = [
        f"{line.name} " + ", ".join(f"{x:g}: {words.number(y, curve.unit)}" for x, y in line.points[:_FEW])
        for line in curve.lines
    ]
    return f"{curve.what}; {'; '.join(told)}"


def _spelled(distribution: Distribution) -> str:
    found = dict(distribution.percentiles())
    shares = [share for share in (0.5, 0.9, 0.99, 0.999) if share in found]
    return ", ".join(
        f"p{_percent(share)} {words.number(found[share], distribution.unit)}" for share in shares
    )


def _spelled_unit(unit: str) -> str:
    return "a second" if unit == "/s" else unit


def _percent(share: float) -> str:
    return f"{100 * share:.6g}"
