"""Rates by hand, and what must hold of them whatever the importances are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adept_bench.errors import InputError
from adept_bench.probing.units import UnitImportance, lr_scales, normalize_units, unit_rates

finite = st.floats(0, 1e6, allow_subnormal=False)
several = st.lists(st.tuples(st.booleans(), finite), min_size=1, max_size=12)


def made(pairs):
    return [
        UnitImportance(f"u{i}.{'layernorm' if norm else 'proj'}", 0, norm, value, 1)
        for i, (norm, value) in enumerate(pairs)
    ]


def test_norms_apart_by_hand():
    units = made([(False, 1.0), (False, 3.0), (False, 2.0), (True, 11.0), (True, 6.0)])
    assert normalize_units(units) == [0.0, 1.0, 0.5, 1.0, 0.5]
    assert unit_rates(units) == [2.0, 0.0, 1.0, 0.0, 1.0]
    assert unit_rates(units, direction="direct") == [0.0, 2.0, 1.0, 2.0, 1.0]
    assert normalize_units(units, "all") == pytest.approx([0.0, 0.2, 0.1, 1.0, 0.5])
    assert unit_rates(units, "all") == pytest.approx([2.0, 1.6, 1.8, 0.0, 1.0])


def test_the_released_range_reads_names():
    """By hand: q_norm and k_norm, norms that are not called layernorm, are in the range of the projections."""
    importance = {
        "layers.3.self_attn.q_proj.weight": 1.0,
        "layers.3.self_attn.k_proj.weight": 3.0,
        "layers.3.self_attn.q_norm.weight": 21.0,
        "layers.3.self_attn.k_norm.weight": 11.0,
        "layers.3.input_layernorm.weight": 41.0,
        "layers.3.post_attention_LayerNorm.weight": 9.0,
    }
    units = [UnitImportance(name, 3, "norm" in name.lower(), value, 1) for name, value in importance.items()]
    # others: 1 to 21; layernorms: 1 to 41
    assert normalize_units(units, "released") == pytest.approx([0.0, 0.1, 1.0, 0.5, 1.0, 0.2])
    assert unit_rates(units, "released") == pytest.approx([2.0, 1.8, 0.0, 1.0, 0.0, 1.6])
    assert unit_rates(units)[:3] == pytest.approx([2.0, 0.0, 1.0])
    assert unit_rates(units, "all") == pytest.approx([2.0, 1.9, 1.0, 1.5, 0.0, 1.6])


def test_the_released_range_of_pooled_units_goes_by_their_own_names():
    names = (
        "layers.3.self_attn",
        "layers.3.self_attn.q_norm",
        "layers.3.input_layernorm",
        "layers.3",
        "layers.3.norms",
    )
    units = [
        UnitImportance(name, 3, index in (1, 2, 4), value, 1)
        for index, (name, value) in enumerate(zip(names, (0.0, 4.0, 10.0, 1.0, 5.0)))
    ]
    assert normalize_units(units, "released") == pytest.approx([0.0, 0.8, 1.0, 0.2, 1.0])


def test_one_unit_and_equal_units_train_at_the_base_rate():
    assert unit_rates(made([(False, 4.0)])) == [1.0]
    assert unit_rates(made([(False, 0.0), (True, 0.0)])) == [1.0, 1.0]
    # equal projections: rate 1, though the norm differs
    assert unit_rates(made([(False, 2.0), (False, 2.0), (True, 5.0)])) == [1.0, 1.0, 0.0]
    assert unit_rates([]) == []


@given(several, st.sampled_from(["norms-apart", "released", "all"]))
def test_rates_fall_with_importance_and_mirror_each_other(pairs, normalize):
    units = made(pairs)
    inverse, direct = unit_rates(units, normalize), unit_rates(units, normalize, "direct")
    for a, rate in zip(units, inverse):
        assert 0.0 <= rate <= 2.0
        for b, other in zip(units, inverse):
            if a.norm == b.norm and a.importance <= b.importance:
                assert rate >= other
    assert [a + b for a, b in zip(inverse, direct)] == pytest.approx([2.0] * len(units))


@given(several)
def test_norms_do_not_stretch_the_range_of_the_others(pairs):
    units = made(pairs)
    without = made([pair for pair in pairs if not pair[0]])
    kept = [value for unit, value in zip(units, normalize_units(units)) if not unit.norm]
    assert kept == normalize_units(without)


def test_bad_names_and_values():
    with pytest.raises(InputError, match="did you mean 'norms-apart'"):
        normalize_units(made([(False, 1.0)]), "norm-apart")
    with pytest.raises(InputError, match="did you mean 'inverse'"):
        lr_scales([0.5], "invers")
    with pytest.raises(InputError, match=r"1\.5: expected 0 to 1"):
        lr_scales([1.5])
