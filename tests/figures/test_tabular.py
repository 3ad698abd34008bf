"""Tables as CSV, Markdown and LaTeX: nothing lost, nothing that LaTeX or Markdown would take for its own."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from adept_bench.figures.base import Table
from adept_bench.figures.main_table import marked
from adept_bench.figures.tabular import Best, Second, as_csv, as_latex, as_markdown


def test_csv_keeps_numbers_to_the_last_digit():
    values = [0.1 + 0.2, 1e-300, -1 / 3, float(np.float64(2) / 7)]
    text = as_csv(Table(["a", "b", "c", "d"], [values, [None, 3, 'x, "y"\nz', np.float64(0.5)]]))
    rows = list(csv.reader(io.StringIO(text)))
    assert [float(value) for value in rows[1]] == values
    assert rows[2] == ["", "3", 'x, "y"\nz', "0.5"]
    assert "\r" not in text


def test_markdown_has_a_cell_a_value():
    text = as_markdown(Table(["method", "a|b"], [["x", Best("1.5")], ["y", None]]), "What it is.")
    lines = text.splitlines()
    assert lines[:4] == ["| method | a\\|b |", "| --- | ---: |", "| x | **1.5** |", "| y | – |"]
    assert lines[-1] == "What it is."


def test_latex_table():
    table = Table(["method", "a_b"], [["x", Best("1%")], ["[y]", Second("−0.5")]])
    text = as_latex(table, "50% of it", "lab-medical")
    assert r"x & \textbf{1\%} \\" in text
    assert r"{}[y] & \underline{$-$0.5} \\" in text
    assert r"method & a\_b \\" in text
    assert r"\caption{50\% of it}" in text
    assert text.count(r"\begin{") == text.count(r"\end{") == 2
    assert r"\begin{tabular}{lr}" in text
    for rule in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert text.count(rule) == 1
    assert "graphicx" not in text


def test_wide_latex_tables_are_scaled():
    text = as_latex(Table([f"c{index}" for index in range(9)], [["x"] * 9]), "c", "l")
    assert r"\resizebox{\linewidth}" in text
    assert "graphicx" in text
    assert text.count("{") == text.count("}")


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([0.5, 0.25, 0.75], [Second("50.0"), "25.0", Best("75.0")]),
        ([0.5, 0.5, 0.1], [Best("50.0"), Best("50.0"), Second("10.0")]),
        # alike as shown is alike
        ([0.50004, 0.5, 0.1, 0.1], [Best("50.0"), Best("50.0"), Second("10.0"), Second("10.0")]),
        ([0.0999, 0.2, 0.1], [Second("10.0"), Best("20.0"), Second("10.0")]),
        ([0.3], ["30.0"]),
        ([0.3, 0.3], ["30.0", "30.0"]),
        ([0.09, 0.1], [Second("9.0"), Best("10.0")]),
    ],
)
def test_best_and_second_best(shares, expected):
    found = marked(shares)
    assert found == expected
    assert [type(one) for one in found] == [type(one) for one in expected]
