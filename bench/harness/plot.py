"""One page of bars as SVG: a panel a figure that has something beside Weir, a bar a
column, a mark a run."""

import statistics
from html import escape

from harness.result import number

PANELS = 3  # beside one another
WIDTH = 340
BAR = 18
LEFT = 96
RIGHT = 74
COLOURS = {"weir": "#1f6f8b"}
OTHER = "#b9b4a7"


def _text(x, y, text, anchor="start", size=11, weight="normal", colour="#222"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
            f'font-weight="{weight}" fill="{colour}">{escape(text)}</text>')


def _bar(y, name, values, scale):
    middle = y + BAR / 2
    median = statistics.median(values)
    marks = "".join(f'<line x1="{LEFT + v * scale:.1f}" x2="{LEFT + v * scale:.1f}" y1="{y + 3}" '
                    f'y2="{y + BAR - 5}" stroke="#222"/>' for v in values)
    return (_text(LEFT - 6, middle + 3, name, "end")
            + f'<rect x="{LEFT}" y="{y}" width="{median * scale:.1f}" height="{BAR - 2}" '
              f'fill="{COLOURS.get(name, OTHER)}"/>' + marks
            + _text(LEFT + max(values) * scale + 5, middle + 3, number(median)))


def _panel(figure):
    """Its drawing, and its height."""
    most = max(max(v) for v in figure.columns.values())
    scale = (WIDTH - LEFT - RIGHT) / most if most else 0
    drawn = [_text(0, 12, f"{figure.row}: {figure.name}", weight="bold"),
             _text(0, 26, f"{figure.unit}, {figure.better} is better", size=10, colour="#666")]
    y = 32
    for name, values in sorted(figure.columns.items(), key=lambda c: c[0] != "weir"):
        drawn.append(_bar(y, name, values, scale))
        y += BAR
    return "".join(drawn), y + 16


def page(figures, about):
    """The drawing; about is the machine's description."""
    heights = [0] * PANELS
    drawn = []
    for figure in (f for f in figures if len(f.columns) > 1):
        panel, height = _panel(figure)
        at = heights.index(min(heights))
        drawn.append(f'<g transform="translate({10 + at * WIDTH},{44 + heights[at]})">{panel}</g>')
        heights[at] += height
    width, height = PANELS * WIDTH + 20, max(heights) + 54
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'font-family="Helvetica, Arial, sans-serif"><rect width="{width}" height="{height}" fill="#fff"/>'
            + _text(10, 18, f"{about['machine']}; {about['date']}", size=12, weight="bold")
            + _text(10, 33, "Bars are medians, marks are runs.", size=10, colour="#666")
            + "\n".join(drawn) + "</svg>\n")
