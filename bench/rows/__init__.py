"""The rows of the table.  A row is a function of its topic's file; it measures, and
adds figures to the results."""

ROWS = {}


class Skip(Exception):
    """Why a row cannot be measured here."""


def row(f):
    ROWS[f.__name__] = f
    return f
