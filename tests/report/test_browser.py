"""The page as a browser shows and prints it: any Chromium, $ADEPT_BENCH_CHROMIUM or on PATH; skipped where none is."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from adept_bench.report.gather import gather
from adept_bench.report.page import page

CHROMIUM = runpy.run_path(str(Path(__file__).with_name("chromium.py")))
BINARY = CHROMIUM["find"]()

pytestmark = pytest.mark.skipif(
    BINARY is None, reason="no Chromium: neither $ADEPT_BENCH_CHROMIUM nor chromium or google-chrome on PATH"
)

WIDEST = """Math.max(...[...document.querySelectorAll('body *')]
  .filter(one => !one.closest('.scroll') || one.classList.contains('scroll'))
  .map(one => one.getBoundingClientRect().right))"""
UNSHOWN = "[...document.images].filter(one => !one.complete || one.naturalWidth === 0).length"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    try:
        started = CHROMIUM["Browser"](BINARY, tmp_path_factory.mktemp("profile"))
    except (OSError, EOFError, TimeoutError) as error:
        pytest.skip(f"{BINARY} does not start here: {error!r}")
    with started:
        yield started


@pytest.mark.parametrize(("width", "mobile"), [(320, True), (390, True), (1280, False)])
def test_nothing_overflows_and_nothing_is_asked_for(browser, real_page, width, mobile):
    browser.open(real_page, width, 844, mobile)
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value(WIDEST) <= width
    assert browser.complaints() == []
    assert browser.requests() == []
    assert browser.value("document.images.length") > 2
    assert browser.value(UNSHOWN) == 0


def test_words_are_large_enough_and_dark_enough(browser, real_page):
    browser.open(real_page, 390, 844, True)
    sizes = browser.value(
        "[...document.querySelectorAll('p, li, td, th, figcaption, summary, a')]"
        ".map(one => parseFloat(getComputedStyle(one).fontSize))"
    )
    assert min(sizes) >= 13
    colours = browser.value(
        "[...new Set([...document.querySelectorAll('body *')].map(one => getComputedStyle(one).color))]"
    )
    assert all(_contrast(colour) >= 4.5 for colour in colours)  # WCAG 2.2, AA, on white and nearly so on the wash


def _contrast(colour: str) -> float:
    """WCAG contrast of `rgb(r, g, b)` with white."""
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 1.05 / (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)


def test_print_shows_what_is_folded_and_cuts_nothing(browser, real_page, tmp_path):
    # the width of A4 less its margins
    browser.open(real_page, 695, 1000)
    browser.call("Emulation.setEmulatedMedia", media="print")
    try:
        folded = "[...document.querySelectorAll('details:not([open]) > :not(summary)')]"
        assert browser.value(f"{folded}.length") > 4
        assert browser.value(f"{folded}.filter(one => !one.checkVisibility()).length") == 0
        assert browser.value("document.documentElement.scrollWidth") <= 695
        inside = "[...document.querySelectorAll('.scroll')].filter(one => one.scrollWidth > one.clientWidth + 1).length"
        assert browser.value(inside) == 0
        assert browser.value("Math.max(...[...document.images].map(one => one.height))") <= 1000
    finally:
        browser.call("Emulation.setEmulatedMedia", media="")
    browser.pdf(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


def test_foreign_strings_run_nothing(browser, stored, tmp_path):
    attack = '"><img src="http://foreign.invalid/x.png" onerror="document.title=1"><script>document.title=1</script>'

    def foreign(cell):
        cell["provenance"]["device"] = attack
        cell["learning_rate"]["criterion"] = attack

    file = tmp_path / "report.html"
    file.write_text(page(gather(stored("adept", change=foreign))), encoding="utf-8")
    browser.open(file, 390, 844, True)
    assert browser.requests() == []
    assert browser.complaints() == []
    assert browser.value("document.title") != "1"
    assert browser.value("document.documentElement.scrollWidth") <= 390
