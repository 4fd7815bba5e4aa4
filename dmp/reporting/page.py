"""A page of tables, rendered as Markdown, LaTeX and HTML from one description."""

from functools import partial
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from dmp.files import write_text
from dmp.reporting.document import Page, Section, Table, aligned, one_line
from dmp.reporting.latex import escape_latex, narrow_table, whole_table

__all__ = ["Page", "Section", "Table", "html", "latex", "markdown", "write_page"]
# As wide as a digit, and neither cut off nor broken at by browsers.
_FIGURE_SPACE = "\u2007"
# Cells of Markdown are padded to each other's width up to here, for who reads it as text.
_PADDED = 28
_align = partial(aligned, sign=_FIGURE_SPACE, digit=_FIGURE_SPACE)


def write_page(page: Page, directory: str | Path, name: str) -> None:
    """Write ``<name>.md``, ``<name>.tex`` and ``<name>.html``.

    Where the LaTeX has narrow tables, ``<name>-appendix.tex`` has the whole ones.

    Raises:
        DMPError: a file cannot be written.
    """
    texts = {".md": markdown(page), ".tex": latex(page), ".html": html(page)}
    if any(table.narrow is not None for table in page.tables):
        texts["-appendix.tex"] = latex(page, whole=True)
    for suffix, text in texts.items():
        write_text(Path(directory) / f"{name}{suffix}", text)


def markdown(page: Page) -> str:
    """Render as GitHub-flavoured Markdown."""
    return _render("page.md.j2", page, table=_markdown_table)


def latex(page: Page, whole: bool = False) -> str:
    """Render as a fragment for ``\\input``, which names the packages that it needs.

    Narrow tables fit a column; if there are none, or if ``whole``, all tables and sections are set
    on landscape pages, which need a document of one column.
    """
    full = whole or all(table.narrow is None for table in page.tables)
    found = {"narrow": narrow_table, "whole": partial(whole_table, title=page.title)}
    return _render("page.tex.j2", page, full=full, **found)


def html(page: Page) -> str:
    """Render as a page of its own, without outside resources: its script sorts and filters."""
    return _render(
        "page.html.j2", page, align=lambda table: _align(table.frame, table.text_columns)
    )


def _render(template: str, page: Page, **context: object) -> str:
    environment = Environment(
        loader=PackageLoader("dmp.reporting"),
        autoescape=template.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"latex": escape_latex, "line": one_line}
    return environment.get_template(template).render(page=page, **context)


def _markdown_table(table: Table) -> str:
    frame = _align(table.frame.map(one_line), table.text_columns)
    every = [list(frame), *frame.itertuples(index=False, name=None)]
    rows = [[text.replace("|", "\\|") for text in row] for row in every]
    if table.linked:
        rows[1:] = [[f"[{first}](#{first.lower()})", *rest] for first, *rest in rows[1:]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths = [max(3, width) if width <= _PADDED else 3 for width in widths]
    head, *body = [
        [cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows
    ]
    # Flush left, where the numbers are padded to have their points below each other.
    rule = [f":{'-' * (width - 1)}" for width in widths]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *body))
