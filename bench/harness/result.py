"""Figures: what was measured, beside what, and how far it spreads."""

import json
import statistics


class Figure:
    """One figure of one row, with a column for Weir and for what is beside it.

    better is "more" or "less"; beside names the column that Weir is compared with,
    run by run, or several; goal is what it must reach, as text.
    """

    def __init__(self, row, name, unit, better="more", beside=None, goal=""):
        self.row = row
        self.name = name
        self.unit = unit
        self.better = better
        self.beside = beside
        self.goal = goal
        self.columns = {}

    def add(self, column, value):
        self.columns.setdefault(column, []).append(value)

    @classmethod
    def load(cls, data):
        figure = cls(data["row"], data["name"], data["unit"], data["better"], data["beside"], data["goal"])
        figure.columns = data["columns"]
        return figure

    def save(self):
        return dict(row=self.row, name=self.name, unit=self.unit, better=self.better, beside=self.beside,
                    goal=self.goal, columns=self.columns)

    def ratios(self):
        """The median of Weir / beside, run by run, as text; several apart by slashes."""
        found = []
        for name in [self.beside] if isinstance(self.beside, str) else self.beside or []:
            pairs = zip(self.columns.get("weir", []), self.columns.get(name, []))
            ratios = [a / b for a, b in pairs if b]
            found.append(number(statistics.median(ratios)) if ratios else "-")
        return " / ".join(found) or "-"


class Results:
    """All of a run; written after each row."""

    def __init__(self, path, about):
        self.path = path
        self.about = about
        self.figures = []
        self.skipped = {}
        self.failed = {}

    def figure(self, *args, **named):
        self.figures.append(Figure(*args, **named))
        return self.figures[-1]

    def write(self):
        with open(self.path, "w") as f:
            json.dump(dict(about=self.about, figures=[f.save() for f in self.figures if f.columns],
                           skipped=self.skipped, failed=self.failed), f, indent=1)


def load(path):
    with open(path) as f:
        data = json.load(f)
    data["figures"] = [Figure.load(f) for f in data["figures"]]
    return data


def number(x):
    """Three digits that count, thousands set apart."""
    if x == 0 or abs(x) >= 1000:
        digits = max(0, len(str(int(abs(x)))) - 3)
        return f"{round(x, -digits):,.0f}"
    for limit, places in ((100, 0), (10, 1), (1, 2)):
        if abs(x) >= limit:
            return f"{x:.{places}f}"
    return f"{x:.3f}"


def spread(values):
    """The median, and the least and greatest behind it."""
    median = number(statistics.median(values))
    if len(values) == 1:
        return median
    return f"{median} ({number(min(values))} - {number(max(values))})"


def table(figures):
    """Text, one figure a line."""
    rows = [("", "Weir", "beside it", "Weir / that", "to reach")]
    for f in figures:
        beside = [f"{c} {spread(v)}" for c, v in f.columns.items() if c != "weir"]
        rows.append((f"{f.row}: {f.name}, {f.unit}", spread(f.columns["weir"]) if "weir" in f.columns else "-",
                     "; ".join(beside) or "-", f.ratios(), f.goal or "-"))
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(r, widths)).rstrip() for r in rows)
