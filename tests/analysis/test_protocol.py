"""Which cells may be compared where a suite's variant changes what is probed."""

import pytest

from adept_bench.analysis.protocol import pair_seeds
from adept_bench.errors import InputError
from adept_bench.results.schema import Variant


def _probing(one, probe, **changes):
    identity = {"model": "m", "domain": "d", "probe": probe}
    return one.model_copy(update={"config": {**one.config, "identity": identity}, **changes})


def test_only_a_declared_change_of_the_probe_corpus_is_no_reason_against_a_comparison(cell):
    answers = {"general": [1, 0, 1, 1]}
    base = _probing(cell("adept", 0, answers), "a")
    silent = _probing(cell("adept", 0, answers), "b")
    declared = _probing(
        silent, "b", variant=Variant(of="adept", about="probe corpus", settings={"data.probe": "other"})
    )
    other = _probing(silent, "b", variant=Variant(of="adept", about="k", settings={"options.k": 1}))
    assert pair_seeds([declared], [base]) == [(declared, base)]
    assert pair_seeds([base], [declared]) == [(base, declared)]
    for refused in (silent, other):
        with pytest.raises(InputError, match="identity of probe"):
            pair_seeds([refused], [base])
    moved = declared.model_copy(update={"config": {**declared.config, "identity": {"model": "m", "domain": "else"}}})
    with pytest.raises(InputError, match="identity of domain"):
        pair_seeds([moved], [base])
