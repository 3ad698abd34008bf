"""Hostile texts in every format: each is read back by a parser that knows nothing of this package."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
import unicodedata
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from adept_bench import escapes
from adept_bench.figures.base import Table
from adept_bench.figures.tabular import Best, as_csv, as_latex, as_markdown

HOSTILE = [
    # Markdown and HTML
    *("<b>", "**x**", "&amp;", "a|b", "\\", "\\|", "*a*", "a * b", "\\*a*", "~~x~~", "_a_ b_c __d__"),
    *("`code`", "``", "run `a --b c`!", "`` x`", "\\`x` ` "),
    *("[a](javascript:alert(1))", "![a](http://x.example/y.png)", "[a]: http://x", "[x](y", "<?x?>", "&#60;b&#62;"),
    *("# title", "- item", "1. one", "> quote", "---", "* * *", "[x] done", "two\nlines", "\n\nparagraph", "", "="),
    *("<script>alert('x')</script>", "<!-- x -->", "-->", "]]>"),
    # LaTeX, mathtext
    *("$$", r"$\frac", "$a$ and $b$", "^^5c", "\\end{document}", "%", "{", "}", "--", "''", ",,,", "!`?`"),
    # spreadsheets
    *('=HYPERLINK("x")', "+1", "-1", "-1.5e-3", "@SUM(A1)", "\t=1", "\r=1", "'=1", "＝1+1"),
    # what cannot be seen
    *(
        "\x1b[31mred\x1b[0m",
        "\x9b31m",
        "\u202egnp.exe",
        "\u061cx\u2066",
        "a\x00b",
        "\u2028",
        "\u0085",
        "\ud800",
        "\uffff",
    ),
    "emoji 😀 👩\u200d👧",
]
pieces = st.sampled_from([*HOSTILE, " ", "a", "1", "é", "中", "*", "_", "]", "(", "<", "&", "#", "-"])
texts = st.one_of(st.sampled_from(HOSTILE), st.lists(pieces, max_size=6).map("".join), st.text(max_size=20))

quickly = settings(deadline=None, max_examples=80)


def unseen(text: str) -> set[str]:
    """Characters that no terminal may get: controls, separators of lines, lone surrogates, direction of text."""
    turning = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    return {
        one
        for one in text
        if unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp")
        or unicodedata.bidirectional(one) in turning
        or one in "\u200e\u200f\u061c"
    }


def shown(text: str) -> str:
    """`text` with `\\uXXXX` for what cannot be seen, written apart from the package."""
    names = {"\t": "\\t", "\r": "\\r"}
    hidden = unseen(text) - {"\n"} | {"\ufffe", "\uffff"}
    return "".join(names.get(one, f"\\u{ord(one):04x}") if one in hidden else one for one in text)


@quickly
@given(texts)
def test_a_terminal_gets_no_control_character(text):
    assert unseen(escapes.terminal(text)) <= {"\n"}
    assert escapes.terminal(text) == shown(text)
    assert not unseen(escapes.line(text))
    assert escapes.rich_text(text).plain == shown(text)


@quickly
@given(st.recursive(texts, lambda inner: st.lists(inner, max_size=3), max_leaves=4))
def test_json_says_the_same_on_a_terminal(value):
    printed = escapes.terminal(json.dumps(value, indent=1, ensure_ascii=False))
    assert not unseen(printed) - {"\n"}
    assert json.loads(printed) == value


class Page(HTMLParser):
    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.text = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, attrs))

    def handle_data(self, data):
        self.text += data

    def handle_comment(self, data):
        raise AssertionError(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


@quickly
@given(texts)
def test_html_is_read_as_the_text(text):
    read = Page(f'<p title="{escapes.html(text)}">{escapes.html(text)}</p>')
    visible = shown(text.replace("\t", "\0")).replace("\\u0000", "\t") if "\0" not in text else None
    assert [tag for tag, _ in read.tags] == ["p"]
    assert dict(read.tags[0][1])["title"] == read.text
    if visible is not None:
        assert read.text == visible


def read_text(tokens: list[Token], cell: bool = True) -> str:
    """What the reader of inline Markdown sees; AssertionError for markup that the text must not have made."""
    seen = ""
    for token in tokens:
        if token.type in ("text", "text_special"):
            seen += token.content
        elif token.type == "code_inline" and not cell:
            assert re.fullmatch(r"[\w .,:/=+@-]+", token.content, re.ASCII)
            seen += f"`{token.content}`"
        elif token.type in ("softbreak", "hardbreak"):
            seen += "\n"
        else:
            assert (token.type, token.content) == ("html_inline", "<br>"), token
            seen += "\n"
    return seen


@quickly
@given(texts, texts)
def test_markdown_keeps_columns_and_text(first, second):
    table = Table(["name", first], [[first, second], [second, Best("1.5")]])
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(as_markdown(table, f"{first} {second}"))
    cells, caption, marked = [], [], []
    for opening, inline in itertools.pairwise(tokens):
        if opening.type in ("th_open", "td_open"):
            children = inline.children or []
            if [one.type for one in children if one.nesting] == ["strong_open", "strong_close"]:
                marked.append(len(cells))
                children = [one for one in children if not one.nesting]
            cells.append(read_text(children))
        elif opening.type == "paragraph_open":
            caption.append(read_text(inline.children or [], cell=False))
    assert marked == [5]
    expected = ["name", first, first, second, second, "1.5"]
    # white space at the ends of a cell or line is no text to Markdown
    assert [trimmed(cell) for cell in cells] == [trimmed(shown(one)) for one in expected]
    assert {token.type for token in tokens if token.level == 0} <= {
        *("table_open", "table_close", "paragraph_open", "paragraph_close", "inline")
    }
    assert trimmed("".join(caption)) == trimmed(re.sub(r" *\n *", " ", shown(f"{first} {second}")))


def trimmed(text: str) -> str:
    return "\n".join(one.strip() for one in text.split("\n")).strip()


COMMAND = {"textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^", "textless": "<", "textgreater": ">"}
COMMAND |= {"textbar": "|", "textquotedbl": '"', "textasciigrave": "`", "ldots": "…"}
MATHS = {"-": "−", r"\pm": "±", r"\times": "×", r"\rightarrow": "→", r"\leq": "≤", r"\geq": "≥", r"\rho": "ρ"}
MATHS |= {r"\Delta": "Δ"}
LATEX = re.compile(
    r"\\(?P<command>[a-z]+)\{\}|\\(?P<escaped>[%$#_{}&])|\$(?P<maths>[^$]+)\$|(?P<dash>---?)|(?P<apart>\{\})|(?P<tie>~)"
    r"|(?P<plain>[^\\%$#_{}&~^])",
    re.S,
)


def printed(source: str) -> str:
    """What LaTeX prints of `source`; AssertionError where a special character stands without its escape."""
    found, at = "", 0
    while at < len(source):
        match = LATEX.match(source, at)
        assert match, source[at:]
        at = match.end()
        kind, value = match.lastgroup, match[match.lastgroup or 0]
        if kind == "command":
            found += COMMAND[value]
        elif kind == "maths":
            found += MATHS[value]
        elif kind != "apart":
            found += {"--": "–", "---": "—"}.get(value, "\u00a0" if kind == "tie" else value)
    return found


@quickly
@given(texts | st.text(alphabet="-–—,'` −±→…\u00a0", max_size=6))
def test_latex_prints_the_text(text):
    assert printed(escapes.latex(text)) == shown(text).replace("\n", " ")
    source = as_latex(Table(["a", text], [[text, Best(text or "x")], [text, None]]), text, text)
    body = re.sub(r"\\\\|\\[{}]", "", source)
    depth = 0
    for letter in body:
        depth += (letter == "{") - (letter == "}")
        assert depth >= 0
    assert depth == 0
    assert not unseen(source) - {"\n"}
    assert re.fullmatch(r"\\label\{tab:[A-Za-z0-9._:-]*\}", re.search(r"^\\label.*$", source, re.M)[0])
    # nothing that the end of a row, `\\`, would take for an argument of its own
    assert not re.search(r"\\\\\s*[\[*]", source)


@quickly
@given(texts)
def test_csv_is_read_back_by_the_rule(text):
    source = as_csv(Table(["x", text], [[text, 1], [text, -2.5]]))
    rows = list(csv.reader(io.StringIO(source, newline="")))
    assert [row[1:] for row in rows[1:]] == [["1"], ["-2.5"]]
    for cell in (rows[0][1], rows[1][0], rows[2][0]):
        assert not cell.startswith(("=", "@", "\t", "\r")), cell
        assert not cell.startswith(("+", "-")) or float(cell) is not None
        assert cell.removeprefix("'") == "".join(f"\\u{ord(o):04x}" if "\ud800" <= o <= "\udfff" else o for o in text)


@pytest.mark.parametrize("number", ["-1", "+10.6", "-.5", "-1.5e-3", "+3.", 0.1 + 0.2, -7, None])
def test_csv_leaves_numbers(number):
    expected = "" if number is None else number if isinstance(number, str) else repr(number)
    assert as_csv(Table(["a"], [["x"], [number]])).split("\n")[2] == (expected or '""')


@quickly
@given(texts)
def test_xml_is_well_formed(text):
    inside = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    read = ElementTree.fromstring(escapes.xml(f"<a>{inside}</a>").encode("utf-8"))
    assert read.text is None or "\x1b" not in read.text


@pytest.mark.filterwarnings("ignore:Glyph")
def test_pictures_take_no_formula_and_are_well_formed():
    from adept_bench.figures.export import encode
    from adept_bench.figures.style import lay_out, look, new_figure

    with look():
        figure = new_figure(4, 9)
        axes = figure.subplots()
        labels = [one for one in HOSTILE if one != "\ud800"]
        axes.set_yticks(range(len(labels)), [escapes.visible(one) for one in labels])
        title = axes.set_title("$$ \\$ $x$ $\\frac")
        axes.plot([0, 1], [0, 1], label="$$")
        axes.legend()
        axes.text(0, 0, "\x1b\x01--]]>&<b>")  # what nobody has escaped
        lay_out(figure)
        for one in ("png", "pdf"):
            assert encode(figure, one, "\x00\x1b$$", "<b>\n&")
        root = ElementTree.fromstring(encode(figure, "svg", "a\x00<b>\x1b", "]]> & --> \ufffe"))
    assert "a\\u0000<b>\\u001b" in "".join(root.itertext())
    assert not title.get_parse_math()


def test_ticks_of_a_logarithmic_axis_are_still_formulas():
    from adept_bench.figures.export import encode
    from adept_bench.figures.style import lay_out, look, new_figure, powers

    with look():
        figure = new_figure(3, 3)
        axes = figure.subplots()
        axes.plot([1, 2], [1e-3, 10])
        axes.set_yscale("log")
        powers(axes.yaxis)
        lay_out(figure)
        encode(figure, "png")
        labels = [one for one in axes.get_yticklabels() if one.get_text()]
    assert labels
    assert all(one.get_parse_math() for one in labels)
    assert not any(one.get_parse_math() for one in axes.get_xticklabels())
