"""A page as LaTeX: narrow tables for a column of print, and whole ones for an appendix."""

import textwrap
from collections.abc import Iterable
from itertools import groupby

import pandas as pd

from dmp.reporting.document import Table, aligned, one_line

# As wide as a sign and as a digit of a number, and invisible.
_SIGN, _DIGIT = "\ue000", "\ue001"
_LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "_": r"\_", "%": r"\%", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    "−": "$-$", "–": "--", "±": r"$\pm$", "×": r"$\times$", "≥": r"$\geq$", "≤": r"$\leq$",
    "√": r"$\surd$", "∞": r"$\infty$", "Δ": r"$\Delta$", "↓": r"$\downarrow$", "↑": r"$\uparrow$",
    "→": r"$\rightarrow$", "†": r"\textsuperscript{\dag}", "·": r"$\cdot$",
    "✓": r"$\surd$", "✗": r"$\times$", "≠": r"$\neq$", "○": r"$\circ$",
    **{mark: rf"\textsuperscript{{{k}}}" for k, mark in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
    _SIGN: r"\phantom{$-$}", _DIGIT: r"\phantom{0}",
})  # fmt: skip
# A column with a longer cell is set in lines, and takes its part of what the others leave.
_LONGEST = 30
# Characters that a landscape page with margins of 2 cm has room for, by their size.
_ACROSS = {r"\scriptsize": 155, r"\tiny": 205}


def escape_latex(text: str) -> str:
    """Return text that LaTeX sets as it stands, special characters and signs included."""
    escaped = text.translate(_LATEX)
    # After the \\ that ends a row, a bracket or star would be read as its argument.
    return "{}" + escaped if escaped.startswith(("[", "*")) else escaped


def narrow_table(frame: pd.DataFrame) -> str:
    """Return a table for a column of print, its rows under the headings of its first column."""
    texts = aligned(frame.map(one_line), 2, _SIGN, _DIGIT).map(escape_latex)
    names, columns = list(frame.columns[1:]), frame.shape[1] - 1
    wide = [name for name in names if frame[name].map(len).max() > _LONGEST]
    share = 0.7 / max(1, len(wide))
    spec = "".join(_lines(share) if name in wide else "l" for name in names)
    lines = [rf"\begin{{tabular}}{{@{{}}{spec}@{{}}}}", r"\toprule", _row(map(_heading, names))]
    for task, rows in groupby(texts.itertuples(index=False, name=None), lambda row: row[0]):
        lines.append(r"\midrule")
        if task:
            lines.append(rf"\multicolumn{{{columns}}}{{@{{}}l}}{{\emph{{{task}}}}} \\")
        lines += [_row(row[1:]) for row in rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def whole_table(table: Table, title: str) -> str:
    """Return a table over as many landscape pages as it needs, with its caption."""
    frame = aligned(table.frame.map(one_line), table.text_columns, _SIGN, _DIGIT)
    widths = [
        max(*frame.iloc[:, k].map(len), *map(len, name.split())) + 2
        for k, name in enumerate(frame.columns)
    ]
    short = sum(width for width in widths if width <= _LONGEST)
    long = sum(widths) - short
    size = next((s for s, room in _ACROSS.items() if short + min(long, 60) <= room), r"\tiny")
    part = min(long / _ACROSS[size], max(0.3, 1 - short / _ACROSS[size]))
    spec = "".join("l" if w <= _LONGEST else _lines(part * w / long) for w in widths)
    head = _row(map(_heading, frame.columns, widths))
    return "\n".join(
        [
            rf"{{{size}\setlength{{\tabcolsep}}{{3pt}}",
            rf"\begin{{longtable}}{{@{{}}{spec}@{{}}}}",
            rf"\caption{{{escape_latex(one_line(f'{title}. {table.caption}'))}}} \\",
            r"\toprule", head, r"\midrule", r"\endfirsthead",
            r"\toprule", head, r"\midrule", r"\endhead",
            r"\bottomrule", r"\endfoot",
            *map(_row, frame.map(escape_latex).itertuples(index=False, name=None)),
            r"\end{longtable}", "}",
        ]
    )  # fmt: skip


def _lines(share: float) -> str:
    return rf">{{\raggedright\arraybackslash}}p{{{share:.3f}\linewidth}}"


def _heading(name: str, width: int = 9) -> str:
    parts = textwrap.wrap(one_line(name), max(width, 9), break_long_words=False)
    stacked = r"\\".join(map(escape_latex, parts))
    return rf"\shortstack[l]{{{stacked}}}"


def _row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"
