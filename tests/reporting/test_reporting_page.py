import html
import re
from html.parser import HTMLParser

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmp.reporting import page as pages
from dmp.reporting.page import Page, Table, escape_latex

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
    assert parser.cells == [text, "6.80", "b", "−0.40 [−1, 2]"]


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
