"""The ground of a chart as inline SVG: axes, gridlines, titles. Whatever is written goes through `Markup.format`, which
escapes.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from scripts.benches.report import words
from scripts.benches.report.scales import Axis

# As wide as a phone, so that a letter there is as large as it says; wider screens have more charts in a row.
WIDTH: Final = 400
HEIGHT: Final = 250
LEFT, RIGHT, TOP, BOTTOM = 50, 12, 12, 44
_RULE = Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>')
_TEXT = Markup('<text x="{:.1f}" y="{:.1f}" class="{}">{}</text>')
_BLOCK = Markup(
    '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>'
)
_SVG = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title>{}</svg>')

Spell = Callable[[float], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Two axes and how their ticks are written. `says` is the whole chart in words, for those who cannot see it."""

    x: Axis
    y: Axis
    x_title: str
    y_title: str
    says: str
    spell_x: Spell = words.short
    spell_y: Spell = words.short
    has_upright_rules: bool = True

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a value stands in the drawing."""
        return (
            LEFT + self.x.place(x) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - self.y.place(y) * (HEIGHT - TOP - BOTTOM),
        )

    def draw(self, marks: Iterable[Markup]) -> Markup:
        """The chart, with the marks in front of the gridlines."""
        inside = Markup("").join([*self._upright(), *self._level(), *self._titles(), *marks])
        return _SVG.format(WIDTH, HEIGHT, self.says, self.says, inside)

    def _upright(self) -> Iterable[Markup]:
        bottom = HEIGHT - BOTTOM
        for value in self.x.ticks:
            x = LEFT + self.x.place(value) * (WIDTH - LEFT - RIGHT)
            if self.has_upright_rules:
                yield _RULE.format("grid", x, TOP, x, bottom)
            yield _TEXT.format(x, bottom + 16, "tick middle", self.spell_x(value))

    def _level(self) -> Iterable[Markup]:
        for value in self.y.ticks:
            y = HEIGHT - BOTTOM - self.y.place(value) * (HEIGHT - TOP - BOTTOM)
            yield _RULE.format("grid", LEFT, y, WIDTH - RIGHT, y)
            yield _TEXT.format(LEFT - 6, y + 4, "tick end", self.spell_y(value))

    def _titles(self) -> Iterable[Markup]:
        yield _RULE.format("axis", LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM)
        yield _TEXT.format((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, "title middle", self.x_title)
        turned = Markup('<text transform="translate(11 {:.1f}) rotate(-90)" class="title middle">{}</text>')
        yield turned.format((TOP + HEIGHT - BOTTOM) / 2, self.y_title)


def path(points: Sequence[tuple[float, float]], style: str) -> Markup:
    """A line through points of the drawing."""
    steps = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return Markup('<path class="{}" d="M{}"/>').format(style, steps)


def dot(x: float, y: float, style: str, says: str) -> Markup:
    """A point that says its value to who points at it."""
    shape = Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="3.5"><title>{}</title></circle>')
    return shape.format(style, x, y, says)


def block(left: float, top: float, right: float, bottom: float, style: str, says: str) -> Markup:
    """A rectangle that says its value."""
    width, height = max(right - left, 0.5), max(bottom - top, 0.0)
    return _BLOCK.format(style, left, top, width, height, says)


def label(x: float, y: float, says: str, style: str = "value middle") -> Markup:
    """A word beside a mark."""
    return _TEXT.format(x, y, style, says)
