import html
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmp.reporting import page as pages
from dmp.reporting.document import aligned
from dmp.reporting.latex import escape_latex
from dmp.reporting.page import Page, Section, Table

words = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"]), max_size=12)


def page_of(text, warning=""):
    frame = pd.DataFrame({"Method": [text, "b"], "FID ↓": ["6.80", "−0.40 [−1, 2]"]})
    return Page(text, warning, [text], [Table(text, frame, text_columns=1)], [text])


class Cells(HTMLParser):
    def __init__(self):
        super().__init__()
        self.cells, self.inside = [], False

    def handle_starttag(self, tag, attrs):
        self.inside = tag == "td"
        if self.inside:
            self.cells.append("")

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.cells[-1] += data


@settings(max_examples=25, deadline=None)
@given(words)
def test_html_shows_any_text_as_text(text):
    parser = Cells()
    parser.feed(pages.html(page_of(text)))
    assert parser.cells == [text, "\u20076.80", "b", "−0.40 [−1, 2]"]


@settings(max_examples=25, deadline=None)
@given(words)
def test_markdown_table_keeps_its_columns_whatever_the_text(text):
    page = page_of(text)
    (table,) = page.tables
    rows = pages._markdown_table(table).splitlines()
    assert [len(re.split(r"(?<!\\)\|", row)) for row in rows] == [4, 4, 4, 4]
    assert "\n".join(rows) in pages.markdown(page)


@given(words)
def test_latex_leaves_no_special_character_unescaped(text):
    escaped = escape_latex(text)
    known = r"\\(textbackslash|textasciicircum|textasciitilde|textless|textgreater|textbar)\{\}"
    plain = re.sub(r"\\[{}$&#_%]", "", re.sub(known, "", escaped.removeprefix("{}")))
    assert not re.search(r"[\\{}$&#_%^~<>|]", plain)


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("5 % of a_b & {c} \\ $", r"5 \% of a\_b \& \{c\} \textbackslash{} \$"),
        ("Δ FID ↓ −0.4", r"$\Delta$ FID $\downarrow$ $-$0.4"),
        ("[1, 2]", "{}[1, 2]"),
    ],
)
def test_latex_sets_text_as_it_stands(text, latex):
    assert escape_latex(text) == latex


def test_printed_digits_survive_in_every_format():
    frame = pd.DataFrame({"Method": ["1e3", "2"], "FID, paper": ["6.80", "7"]})
    page = Page("t", "", [], [Table("c", frame, text_columns=1)])
    for render in (pages.markdown, pages.latex, pages.html):
        assert "6.80" in render(page)
        assert "1e3" in render(page)


def test_long_text_is_not_cut():
    text = "word " * 60 + "end"
    for render in (pages.markdown, pages.latex, pages.html):
        assert render(page_of(text)).count(text) >= 4


def test_warning_stands_before_the_first_number_and_only_where_there_is_one():
    for render in (pages.markdown, pages.latex, pages.html):
        text = html.unescape(render(page_of("dmp", warning="No conclusion!")))
        assert text.index("No conclusion!") < text.index("6.80")
        assert "textbf" not in render(page_of("dmp"))
        assert 'class="warning"' not in render(page_of("dmp"))


def test_note_over_several_lines_cannot_begin_a_new_element():
    page = Page("t", "", [], [], ["first\n\n# not a heading"])
    assert "- first # not a heading\n" in pages.markdown(page)


def test_latex_environments_are_balanced():
    text = pages.latex(page_of("dmp", warning="w"))
    stack = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if kind == "begin":
            stack.append(name)
        else:
            assert stack.pop() == name
    assert not stack
    bare = re.sub(r"(?m)%.*$|\\[{}]", "", text)
    assert bare.count("{") == bare.count("}")


def test_points_of_numbers_stand_below_each_other():
    frame = pd.DataFrame(
        {"Method": ["a", "12"], "x": ["−0.40 [−1, 2]", "123.5"], "p": ["<0.001", "–"]}
    )
    table = aligned(frame, 1, sign="s", digit="d")
    assert table["Method"].tolist() == ["a", "12"]
    assert table["x"].tolist() == ["dd−0.40 [−1, 2]", "s123.5"]
    assert table["p"].tolist() == ["<0.001", "s–"]


def test_padding_leaves_the_text_of_cells_as_it_is():
    frame = pd.DataFrame({"Method": ["a", "b"], "FID": ["6.80 [1, 2]", "not run¹"]})
    table = pages._markdown_table(Table("c", frame, text_columns=1))
    cells = {cell.strip() for line in table.splitlines() for cell in line.split("|")}
    assert {"6.80 [1, 2]", "not run¹"} <= cells


def test_html_has_its_script_within_and_nothing_from_outside():
    text = pages.html(page_of("dmp"))
    assert "aria-sort" in text
    assert "Filter rows" in text
    assert not re.search(r"""(src|href)=["'](https?:)?//|@import|url\(""", text)


def narrow_page():
    rows = [("text", "dmp", "2.69", "−0.102 [0.068, 0.136]", "○", "47.18", "−11.74")] * 3
    narrow = pd.DataFrame(
        rows, columns=["Task", "Method", "FID ↓", "Δ FID", "", "Paper", "Δ paper"]
    )
    wide = pd.DataFrame({name: ["−0.0120 [−0.0183, −0.0057]"] * 60 for name in "abcde"})
    wide.insert(0, "Why", "a sentence about it " * 12)
    table = Table("c", wide, 1, narrow, "¹ not run_ at all")
    return Page("Title & more", "w", ["i"], [table], ["n"], [Section("C01", ["line"], [table])])


def test_latex_has_the_narrow_table_and_the_appendix_the_whole_one():
    main, appendix = pages.latex(narrow_page()), pages.latex(narrow_page(), whole=True)
    assert main.count(r"\emph{text}") == 1
    assert "longtable" not in main.split("\n", 1)[1]
    assert appendix.count(r"\begin{longtable}") == 2
    assert r"\subsection*{C01}" in appendix


def test_pages_without_a_narrow_table_have_no_appendix(tmp_path):
    pages.write_page(page_of("dmp"), tmp_path, "a")
    pages.write_page(narrow_page(), tmp_path, "b")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.html", "a.md", "a.tex", "b-appendix.tex", "b.html", "b.md", "b.tex",
    ]  # fmt: skip


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no TeX")
def test_narrow_table_fits_a_column_and_the_appendix_a_page(tmp_path):
    (tmp_path / "document.tex").write_text(
        r"""\documentclass[twocolumn]{article}
\usepackage[margin=2cm]{geometry}
\usepackage{array,booktabs,longtable,pdflscape}
\begin{document}
\input{main}
\onecolumn
\input{appendix}
\end{document}
""",
        encoding="utf-8",
    )
    (tmp_path / "main.tex").write_text(pages.latex(narrow_page()), encoding="utf-8")
    (tmp_path / "appendix.tex").write_text(pages.latex(narrow_page(), True), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "document.tex"]
    for _ in range(3):  # longtable learns its widths
        done = subprocess.run(command, cwd=tmp_path, capture_output=True)
    log = done.stdout.decode(errors="replace")
    assert done.returncode == 0, log[-2000:]
    assert "Overfull" not in log
