"""A page of tables, rendered as Markdown, LaTeX and HTML from one description."""

import re
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from dmp.files import write_text

_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "_": r"\_", "%": r"\%", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    "−": "$-$", "–": "--", "±": r"$\pm$", "×": r"$\times$", "≥": r"$\geq$", "≤": r"$\leq$",
    "√": r"$\surd$", "∞": r"$\infty$", "Δ": r"$\Delta$", "↓": r"$\downarrow$", "↑": r"$\uparrow$",
    "→": r"$\rightarrow$", "†": r"\textsuperscript{\dag}",
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A table of finished text.

    Attributes:
        caption: one sentence.
        frame: strings; the columns are the header.
        text_columns: how many columns from the left are words, aligned left; the rest are numbers.

    """

    caption: str
    frame: pd.DataFrame
    text_columns: int


@dataclass(frozen=True)
class Page:
    """What stands on a page, in this order.

    Attributes:
        title: the heading.
        warning: what a reader must know before the first number; empty for none.
        introduction: lines of text.
        tables: the tables.
        notes: lines of text.

    """

    title: str
    warning: str
    introduction: list[str]
    tables: list[Table]
    notes: list[str] = field(default_factory=list)


def write_page(page: Page, directory: str | Path, name: str) -> None:
    """Write ``<name>.md``, ``<name>.tex`` and ``<name>.html``.

    Raises:
        DMPError: a file cannot be written.

    """
    for suffix, render in (("md", markdown), ("tex", latex), ("html", html)):
        write_text(Path(directory) / f"{name}.{suffix}", render(page))


def markdown(page: Page) -> str:
    """Render as GitHub-flavoured Markdown."""
    return _render("page.md.j2", page, [_markdown_table(table) for table in page.tables])


def latex(page: Page) -> str:
    """Render as a fragment for ``\\input``; it needs the packages booktabs and graphicx."""
    return _render("page.tex.j2", page, [_latex_table(table) for table in page.tables])


def html(page: Page) -> str:
    """Render as a page of its own, without scripts or outside resources."""
    return _render("page.html.j2", page, [_html_table(table) for table in page.tables])


def escape_latex(text: str) -> str:
    """Return text that LaTeX sets as it stands, special characters and signs included."""
    escaped = "".join(_LATEX.get(character, character) for character in text)
    # After the \\ that ends a row, a bracket or star would be read as its argument.
    return "{}" + escaped if escaped.startswith(("[", "*")) else escaped


def _render(template: str, page: Page, rendered: list[str]) -> str:
    environment = Environment(
        loader=PackageLoader("dmp.reporting"),
        autoescape=template.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"latex": escape_latex, "line": _one_line}
    tables = [(table.caption, text) for table, text in zip(page.tables, rendered, strict=True)]
    return environment.get_template(template).render(page=page, tables=tables)


def _one_line(text: str) -> str:
    """Return the text on one line, so that no line of it can begin a new element."""
    return re.sub(r"\s+", " ", text).strip()


def _markdown_table(table: Table) -> str:
    escaped = table.frame.map(_markdown_cell).rename(columns=_markdown_cell)
    words, numbers = table.text_columns, table.frame.shape[1] - table.text_columns
    # Without disable_numparse a printed 6.80 would come out as 6.8.
    return escaped.to_markdown(
        index=False,
        tablefmt="pipe",
        disable_numparse=True,
        colalign=["left"] * words + ["right"] * numbers,
    )


def _markdown_cell(text: str) -> str:
    return _one_line(text).replace("|", "\\|")


def _latex_table(table: Table) -> str:
    words, numbers = table.text_columns, table.frame.shape[1] - table.text_columns
    escaped = table.frame.map(lambda text: escape_latex(_one_line(text)))
    styled = escaped.rename(columns=escape_latex).style.hide(axis="index")
    return styled.to_latex(hrules=True, column_format="l" * words + "r" * numbers).rstrip()


def _html_table(table: Table) -> str:
    styled = table.frame.style.hide(axis="index").set_caption(escape(table.caption))
    # Each returns the Styler, though annotated as the class that it is made of.
    styled.format(escape="html").format_index(escape="html", axis="columns")
    return styled.to_html(exclude_styles=True).rstrip()
