"""How figures are written, on the terminal and on the page."""

from scripts.benches.figures import Figure


def number(value: float, unit: str = "") -> str:
    """As many digits as one reads: 12,946 /s, 57.3 ×, 0.35 ×."""
    digits = 0 if value >= 1000 else 1 if value >= 20 else 2
    return f"{value:,.{digits}f} {unit}".rstrip()


def short(value: float) -> str:
    """For an axis: 0.5, 20, 12k, 1.5M."""
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if value >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"


def bar(figure: Figure) -> str:
    """`≥ 3,000 /s`, or nothing without a bar."""
    if figure.bar is None:
        return ""
    return f"{'≤' if figure.at_most else '≥'} {number(figure.bar, figure.unit)}"


def ratio(figure: Figure) -> str:
    """The value as a multiple of its bar, or nothing without a bar."""
    return "" if figure.ratio is None else f"{figure.ratio:.2f}"
