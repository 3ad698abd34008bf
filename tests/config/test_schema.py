"""What the configuration's types promise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from adept_bench.config import schema
from adept_bench.config.names import CORE_METHODS, METHOD_NAMES
from adept_bench.config.sources import merge_lines, merged

SECTIONS = [kind for kind in vars(schema).values() if isinstance(kind, type) and issubclass(kind, schema.Section)]


@pytest.mark.parametrize("section", SECTIONS)
def test_every_field_says_what_it_is_and_its_default(section):
    for name, field in section.model_fields.items():
        assert field.description, f"{section.__name__}.{name}"
        whole_section = isinstance(field.default, schema.Section) or section is schema.Suite
        if not field.is_required() and not whole_section:
            assert "Default" in field.description, f"{section.__name__}.{name}"


def test_sections_are_strict_and_frozen():
    options = schema.MethodOptions()
    with pytest.raises(ValidationError):
        options.k = 3
    with pytest.raises(ValidationError):
        schema.MethodOptions(kk=3)


@given(st.integers(1, 10**6), st.integers(2, 512), st.integers(1, 16), st.integers(1, 4))
def test_steps_are_the_whole_steps_of_the_budget(tokens, length, batch_size, accumulation):
    arguments = {"tokens": tokens, "length": length, "batch_size": batch_size, "accumulation": accumulation}
    if tokens < length * batch_size * accumulation:
        with pytest.raises(ValidationError, match="less than one step"):
            schema.TrainingConfig(**arguments)
        return
    training = schema.TrainingConfig(**arguments)
    used = training.steps * training.tokens_per_step
    assert 0 <= tokens - used < training.tokens_per_step


def test_method_names_are_the_registry_s():
    from adept_bench.methods.registry import METHODS

    assert tuple(METHODS) == METHOD_NAMES
    assert METHOD_NAMES[:7] == CORE_METHODS


KEYS = st.sampled_from("abc")
TREES = st.recursive(st.integers(), lambda inner: st.dictionaries(KEYS, inner, max_size=3), max_leaves=8)


def leaves(tree, at=()):
    if not isinstance(tree, dict):
        return {at: tree}
    return {k: v for key, value in tree.items() for k, v in leaves(value, (*at, key)).items()}


@given(st.dictionaries(KEYS, TREES), st.dictionaries(KEYS, TREES))
def test_merging_keeps_each_leaf_and_where_it_came_from(base, change):
    result = leaves(merged(base, change))
    ours, theirs = leaves(change), leaves(base)
    lines = merge_lines(dict.fromkeys(theirs, "base"), dict.fromkeys(ours, "change"), change)
    assert ours.items() <= result.items()
    for at, value in result.items():
        assert value == (ours if at in ours else theirs)[at]
        assert lines[at] == ("change" if at in ours else "base")


def test_a_setting_that_came_later_is_written_only_where_it_differs():
    class Grown(schema.Section):
        old: int = 1
        new: int = schema.later(2)

    class Outer(schema.Section):
        inner: Grown = Grown()

    assert Outer().model_dump() == {"inner": {"old": 1}}
    assert Outer(inner=Grown(old=1, new=3)).model_dump() == {"inner": {"old": 1, "new": 3}}
    assert Outer.model_validate_json(Outer().model_dump_json()) == Outer()
