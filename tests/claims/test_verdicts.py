"""The verdict as docs/claims.md has it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adept_bench.claims.verdicts import (
    DIRECTION,
    INCONCLUSIVE,
    NOT,
    REPRODUCED,
    VERDICTS,
    Evidence,
    Target,
    judge,
)


def verdict(estimate, half, p, *, targets=(), asserts="size", direction="greater", adjusted_half=None):
    wide = half if adjusted_half is None else adjusted_half
    evidence = Evidence(estimate, (estimate - half, estimate + half), (estimate - wide, estimate + wide), p)
    least = 1.0 if direction == "greater" else -1.0
    return judge(direction, 0.0, least, asserts, evidence, [Target(*target) for target in targets]).verdict


@pytest.mark.parametrize(
    ("expected", "case"),
    [
        # the interval holds the reported size, lies beyond it, or falls short
        (REPRODUCED, {"estimate": 4, "half": 2, "p": 0.01, "targets": [(5.5, (2, 6))]}),
        (REPRODUCED, {"estimate": 9, "half": 2, "p": 0.01, "targets": [(5.5, (7, 11))]}),
        (REPRODUCED, {"estimate": 4, "half": 2, "p": 0.01, "targets": [(6, (2, 6))]}),
        (DIRECTION, {"estimate": 3, "half": 2, "p": 0.01, "targets": [(5.5, (1, 5))]}),
        # one of two sizes is missed
        (DIRECTION, {"estimate": 3, "half": 2, "p": 0.01, "targets": [(4.5, (1, 5)), (5.5, (1, 5))]}),
        # a bound: all of the interval beyond it
        (REPRODUCED, {"estimate": 4, "half": 2, "p": 0.01, "targets": [(1.9, (2, 6), True)]}),
        (DIRECTION, {"estimate": 4, "half": 2, "p": 0.01, "targets": [(2.0, (2, 6), True)]}),
        (REPRODUCED, {"estimate": 4, "half": 2, "p": 0.01, "targets": [(2.0, (2, 6), True, 0.05)]}),
        # no size may be compared; no size is claimed
        (DIRECTION, {"estimate": 4, "half": 2, "p": 0.01}),
        (REPRODUCED, {"estimate": 4, "half": 2, "p": 0.01, "asserts": "direction"}),
        # just not established, though the interval of this claim alone is on the claimed side
        (INCONCLUSIVE, {"estimate": 4, "half": 2, "p": 0.05, "targets": [(5.5, (2, 6))]}),
        (INCONCLUSIVE, {"estimate": -4, "half": 2, "p": 0.05, "adjusted_half": 5.1}),
        # the opposite, or nothing worth speaking of
        (NOT, {"estimate": -4, "half": 2, "p": 0.01, "targets": [(-6, (-6, -2))]}),
        (NOT, {"estimate": 0.1, "half": 0.5, "p": 0.9, "adjusted_half": 0.8}),
        (INCONCLUSIVE, {"estimate": 0.1, "half": 0.5, "p": 0.9, "adjusted_half": 1.0}),
        (NOT, {"estimate": 0.0, "half": 0.0, "p": 1.0}),
    ],
)
def test_rules(expected, case):
    assert verdict(**case) == expected
    flipped = {**case, "estimate": -case["estimate"], "direction": "less"}
    flipped["targets"] = [(-value, (-high, -low), *rest) for value, (low, high), *rest in case.get("targets", [])]
    assert verdict(**flipped) == expected


def test_without_a_test_nothing_is_concluded():
    ruling = judge("greater", 0.0, 1.0, "size", Evidence(9.0, (8.0, 10.0), (7.0, 11.0), None, why="one seed"))
    assert (ruling.verdict, ruling.rule) == (INCONCLUSIVE, "one seed")


@pytest.mark.parametrize(
    ("shares", "targets", "expected"),
    [
        ((0.13, 0.154), [Target(0.15, (0.13, 0.154), True, 0.005)], REPRODUCED),
        ((0.13, 0.156), [Target(0.15, (0.13, 0.156), True, 0.005)], DIRECTION),
        ((0.13, 0.13), [], DIRECTION),
        ((0.5, 1.0), [], NOT),
    ],
)
def test_exact_numbers_need_no_p(shares, targets, expected):
    evidence = Evidence(sum(shares) / 2, shares, shares, None, exact=True)
    assert judge("less", 1.0, 1.0, "size", evidence, targets).verdict == expected


numbers = st.floats(-20, 20)


@settings(deadline=None)
@given(numbers, st.floats(0.1, 10), st.floats(1, 2), st.floats(0, 1), numbers, st.sampled_from(["size", "direction"]))
def test_properties(estimate, half, wider, p, reported, asserts):
    case = {"estimate": estimate, "half": half, "p": p, "adjusted_half": half * wider, "asserts": asserts}
    found = verdict(**case, targets=[(reported, (estimate - half, estimate + half))])
    assert found in VERDICTS
    if found in (REPRODUCED, DIRECTION):
        assert p < 0.05
        assert estimate > 0
    # asking for more never helps
    more = verdict(**case, targets=[(reported + 5, (estimate - half, estimate + half))])
    order = [NOT, INCONCLUSIVE, DIRECTION, REPRODUCED]
    assert order.index(more) <= order.index(found)


def ruling(low, high, p=0.5, unit="points", null=0.0, **evidence):
    middle = (low + high) / 2
    least = {"points": 1.0, "ratio": 1.1, "rho": 0.1}[unit]
    return judge(
        "greater",
        null,
        least,
        "size",
        Evidence(middle, (low, high), (low, high), p, **evidence),
        unit=unit,
    )


@pytest.mark.parametrize(
    ("unit", "null", "interval", "kind", "bound"),
    [
        ("points", 0.0, (-3.0, 4.5), "bounded", 4.5),
        ("points", 0.0, (-9.9, 4.5), "bounded", 9.9),
        ("points", 0.0, (-10.1, 4.5), "underpowered", None),
        ("points", -1.0, (-3.0, 4.5), "bounded", 5.5),
        ("ratio", 1.0, (0.8, 1.6), "bounded", 1.6),
        ("ratio", 1.0, (0.6, 1.3), "bounded", 1 / 0.6),
        ("ratio", 1.0, (0.4, 1.3), "underpowered", None),
        ("rho", 0.0, (-0.3, 0.5), "bounded", 0.5),
        ("rho", 0.0, (-0.3, 0.6), "underpowered", None),
    ],
)
def test_kinds_of_inconclusive(unit, null, interval, kind, bound):
    found = ruling(*interval, unit=unit, null=null)
    assert (found.verdict, found.kind) == (INCONCLUSIVE, kind)
    assert found.bound == (None if bound is None else pytest.approx(bound))


def test_undecidable_goes_before_everything():
    found = ruling(5.0, 9.0, p=0.0001, undecidable="the base is at chance")
    assert (found.verdict, found.kind, found.rule) == (INCONCLUSIVE, "undecidable", "the base is at chance")


def test_only_what_is_inconclusive_has_a_kind():
    assert ruling(5.0, 9.0, p=0.001).kind is None
    assert ruling(-0.5, 0.5).kind is None  # not reproduced: nothing worth speaking of
    assert judge("greater", 0.0, 1.0, "size", Evidence(9.0, None, None, None, why="one seed")).kind == "underpowered"
