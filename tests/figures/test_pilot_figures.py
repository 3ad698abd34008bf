"""The figures of the pilot study on invented cells: numbers by hand, marks, what is missing, what is refused."""

from __future__ import annotations

import io
import json
import runpy
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from adept_bench.analysis.pilot import copied, together, used_profiles
from adept_bench.errors import InputError
from adept_bench.figures import (
    activations,
    importance_metrics,
    layer_importance,
    ranking_stability,
    token_shift,
    unit_importance,
)
from adept_bench.figures.base import Drawing, MissingError
from adept_bench.figures.layers import value_axis
from adept_bench.figures.style import colour, look, new_figure
from adept_bench.figures.tokens import plain, visible
from adept_bench.figures.unit_importance import short_names, unit_of
from adept_bench.results.compact import compact_training
from adept_bench.results.schema import (
    Activation,
    ActivationOverlap,
    Analyses,
    Cell,
    LayerProbe,
    ProbeSize,
    ShiftedToken,
    Stability,
    TokenShift,
    UnitProbe,
    Variant,
)

example = runpy.run_path(str(Path(__file__).parents[1] / "results" / "example_cell.py"))["example"]
MODULES = [layer_importance, unit_importance, importance_metrics, ranking_stability, activations, token_shift]
METRICS = ("masking", "gradient", "rank", "fisher")
MASKING = {0: [9.0, 0.2, -0.05, 0.01, 0.03], 1: [8.0, 0.1, 0.02, -0.04, -0.01], 2: [8.5, 0.4, -0.02, 0.05, -0.03]}
TOKENS = [" $x_1$", "$", "中文", "a_b^{c}", "\n", "<s>", "50%", "\\frac{", " the", "", "Ġof", "x" * 40]


def cell(method: str, seed: int, analyses: Analyses | None, **changes: Any) -> Cell:
    content = {"schema_version": 1, "status": "complete", **example(method, seed, suite="pilot")}
    content["config"]["options"] = {"k": 2}
    content["training"] = compact_training(content["training"])
    made = Cell.model_validate_json(json.dumps(content))
    return made.model_copy(update={"analyses": analyses, **changes})


def of_base(seed: int) -> Analyses:
    draw = np.random.default_rng(seed)
    layers, stability, units = [], [], []
    for corpus, sign in (("general", 1.0), ("domain", -1.0)):
        importance = [sign * value for value in MASKING[seed]]
        for metric in METRICS:
            values = importance if metric == "masking" else draw.random(5).tolist()
            layers.append(
                LayerProbe(corpus=corpus, metric=metric, base_loss=0.7, importance=values, seconds=1.0 + seed)
            )
        sizes = [
            ProbeSize(documents=size, samples=4, rank_correlation=[0.0, 0.2, 0.4, 0.6], overlap=[0.0, 0.5, 0.5, 1.0])
            for size in (4, 8)
        ]
        stability.append(
            Stability(
                corpus=corpus,
                documents=16,
                k=2,
                samples=50,
                importance=importance,
                low=[value - 0.1 for value in importance],
                high=[value + 0.2 for value in importance],
                chosen=[0.0, 0.1, 0.9, 0.8, 0.2],
                rank_correlation=[0.8, 0.6, 0.9],
                sizes=sizes,
            )
        )
        units.append(unit_block(corpus, 1.0 + seed))
    return Analyses(layers=layers, stability=stability, units=units)


def unit_block(corpus: str, scale: float) -> UnitProbe:
    names = [
        f"model.layers.{layer}.{unit}.weight"
        for layer in range(2)
        for unit in ("self_attn.q_proj", "mlp.experts.0.up_proj", "mlp.experts.1.up_proj", "input_layernorm")
    ]
    return UnitProbe(
        corpus=corpus,
        name=names,
        layer=[0] * 4 + [1] * 4,
        norm=[False, False, False, True] * 2,
        importance=[scale * value for value in (1e-5, 1e-5, 4e-5, 1e-3, 2e-5, 0.0, 0.0, 2e-3)],
        elements=[10, 10, 30, 4] * 2,
    )


def of_trained(seed: int, copies: bool, tokens: list[str] | None = None) -> Analyses:
    states = ("base", "expanded", "adapted") if copies else ("base", "adapted")
    found, overlaps = [], []
    for layer in (1, 3):
        for state in states:
            for corpus, middle in (("general", 0.0), ("domain", 0.5)):
                density = stats.norm.pdf(np.linspace(-4, 4, 81), middle, 1 + 0.1 * seed).tolist()
                found.append(
                    Activation(
                        layer=layer,
                        state=state,
                        corpus=corpus,
                        dimensions=8,
                        tokens=90,
                        mean=middle,
                        low=-4.0,
                        high=4.0,
                        density=density,
                    )
                )
            less = 0.1 * (state == "adapted") * (1 + seed)
            overlaps.append(ActivationOverlap(layer=layer, state=state, overlap=0.5 + 0.1 * layer - less))
    words = [
        ShiftedToken(token=token, shifted=30 - index, positions=40)
        for index, token in enumerate(TOKENS if tokens is None else tokens)
    ]
    shift = [
        TokenShift(corpus=corpus, positions=100, unshifted=80 - seed, marginal=15, shifted=5 + seed, tokens=words)
        for corpus in ("general", "domain")
    ]
    return Analyses(activations=found, overlaps=overlaps, token_shift=shift)


@pytest.fixture(scope="module")
def suite() -> list[Cell]:
    cells = [cell("vanilla", seed, of_base(seed)) for seed in MASKING]
    for method, copies in (("full", False), ("adept", True)):
        cells += [cell(method, seed, of_trained(seed, copies)) for seed in MASKING]
    return cells


@pytest.fixture(scope="module")
def drawings(suite: list[Cell]) -> dict[str, Drawing]:
    return {module.KIND.name: drawn(module, suite) for module in MODULES}


def drawn(module: Any, cells: list[Cell]) -> Drawing:
    """Drawn and laid out: nothing in it may fail or warn, such as of a character the font lacks."""
    with look(), warnings.catch_warnings():
        warnings.simplefilter("error")
        drawing = module.draw(cells)
        drawing.figure.draw_without_rendering()
    return drawing


def rows(drawing: Drawing, **wanted: Any) -> list[dict[str, Any]]:
    """The CSV's rows that have these values."""
    named = [dict(zip(drawing.data.header, row, strict=True)) for row in drawing.data.rows]
    return [row for row in named if all(row[name] == value for name, value in wanted.items())]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.KIND.name)
def test_every_figure(module: Any, suite: list[Cell], drawings: dict[str, Drawing]) -> None:
    drawing = drawings[module.KIND.name]
    assert module.KIND.draw is module.draw
    assert "3 seeds" in drawing.caption
    assert {one.method for one in drawing.cells} <= {"vanilla", "full", "adept"}
    assert f"{len(drawing.cells)} cells" in drawing.caption
    assert all(len(row) == len(drawing.data.header) for row in drawing.data.rows)
    # the same picture whatever the order of the cells
    with look():
        assert pixels(module.draw(suite[::-1])) == pixels(module.draw(suite))
    # one seed is enough
    drawn(module, [one for one in suite if one.seed == 1])


def pixels(drawing: Drawing) -> bytes:
    out = io.BytesIO()
    assert drawing.figure is not None
    drawing.figure.savefig(out, format="png", dpi=40, metadata={"Software": None})
    return out.getvalue()


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.KIND.name)
def test_nothing_to_draw(module: Any) -> None:
    with pytest.raises(MissingError, match=f"{module.KIND.name}: .*expected .*analyses"):
        module.draw([cell("vanilla", 0, None), cell("adept", 0, Analyses())])


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.KIND.name)
def test_mixed_cells_are_refused(module: Any, suite: list[Cell]) -> None:
    def spoilt(**changes: Any) -> list[Cell]:
        return [one.model_copy(update=changes) if one.seed == 1 else one for one in suite]

    with pytest.raises(InputError, match="preset and suite"):
        module.draw(spoilt(preset="other"))
    config = {**suite[0].config, "identity": {"model": "base-1", "general": "another"}}
    with pytest.raises(InputError, match="corpora"):
        module.draw(spoilt(config=config))


def test_budgets_and_bases_are_not_mixed(suite: list[Cell]) -> None:
    full = next(one for one in suite if one.method == "full" and one.seed == 1)
    rest = [one for one in suite if one is not full]
    longer = full.model_copy(update={"training": full.training.model_copy(update={"tokens": 5})})
    with pytest.raises(InputError, match="training tokens"):
        token_shift.draw([*rest, longer])
    other = full.model_copy(update={"model": full.model.model_copy(update={"hash": "other"})})
    with pytest.raises(InputError, match="base model"):
        activations.draw([*rest, other])


def test_layer_importance_numbers(drawings: dict[str, Drawing]) -> None:
    drawing = drawings["layer_importance"]
    for layer in range(5):
        values = [MASKING[seed][layer] for seed in MASKING]
        (mean,) = rows(drawing, corpus="general", layer=layer, seed="mean")
        assert mean["importance_nats"] == pytest.approx(np.mean(values))
        low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
        assert (mean["low"], mean["high"]) == pytest.approx((low, high))
    # the two lowest of each seed: 2 3, 3 4, 2 4; on the domain text the signs are turned: 0 1 always
    shares = [row["share_among_lowest"] for row in rows(drawing, corpus="general", seed="mean")]
    assert shares == pytest.approx([0, 0, 2 / 3, 2 / 3, 2 / 3])
    assert [row["share_among_lowest"] for row in rows(drawing, corpus="domain", seed="mean")] == [1, 1, 0, 0, 0]
    (one,) = rows(drawing, corpus="general", layer=3, seed=0)
    assert (one["importance_nats"], one["share_among_lowest"]) == (0.01, 1.0)


def test_lowest_layers_are_marked_by_more_than_colour(drawings: dict[str, Drawing]) -> None:
    figure = drawings["layer_importance"].figure
    assert figure is not None
    bars = [container.patches[0] for container in figure.axes[0].containers]
    means = np.mean(list(MASKING.values()), axis=0)
    assert [bar.get_height() for bar in bars] == pytest.approx(means.tolist())
    assert [index for index, bar in enumerate(bars) if bar.get_hatch()] == sorted(np.argsort(means)[:2].tolist())
    texts = [text.get_text() for text in figure.axes[1].texts]
    assert texts == ["2/3"] * 3


def test_small_values_stay_readable_beside_large_ones() -> None:
    with look():
        axes = new_figure().subplots()
        sentence = value_axis(axes, [9.0, 0.2, -0.05, 0.01, 0.03])
        assert "linear up to 0.1 " in sentence
        bottom, zero, small, top = (
            axes.transAxes.inverted().transform(axes.transData.transform((0, value)))[1]
            for value in (-0.05, 0, 0.05, 9)
        )
        assert top - zero < 12 * (small - zero)
        assert small - zero == pytest.approx(zero - bottom)
        assert 0 < bottom < top < 1
        axes = new_figure().subplots()
        assert "is linear." in value_axis(axes, [0.3, 0.2, 0.1])
        assert axes.get_yscale() == "linear"


def test_layer_importance_of_suites_without_analyses() -> None:
    block = {"metric": "masking", "base_loss": 0.7, "importance": MASKING[0]}
    other = block | {"importance": MASKING[1]}
    adept = cell("adept", 0, None, probe={"layers_general": block})
    changed = Variant(of="adept", about="probe corpus", settings={"data.probe_documents": 16})
    chosen = Variant(of="adept", about="selection", settings={"options.importance_corpus": "domain"})
    cells = [
        cell("adept-probe16", 0, None, probe={"layers_general": other}, variant=changed),
        cell("adept-domain-importance", 0, None, probe={"layers_domain": other}, variant=chosen),
        adept,
    ]
    found = {one.corpus: (one.cell.method, one.importance) for one in used_profiles(cells)}
    assert found == {"general": ("adept", MASKING[0]), "domain": ("adept-domain-importance", MASKING[1])}
    drawing = drawn(layer_importance, [adept])
    assert [one.method for one in drawing.cells] == ["adept"]
    assert drawing.notes == ["layer importance on domain text: no cell holds it"]


def test_k_of_a_cell() -> None:
    one = cell("adept", 0, None)
    assert copied(one, 12) == 2
    assert copied(one, 1) == 1
    bare = one.model_copy(update={"config": {}})
    assert copied(bare, 12) == len(one.model.expanded_layers)
    with pytest.raises(InputError, match=r"no config\.options\.k"):
        copied(cell("vanilla", 0, None, config={}), 12)
    different = [
        cell("vanilla", seed, of_base(seed), config={**one.config, "options": {"k": 1 + seed}}) for seed in (0, 1)
    ]
    with pytest.raises(MissingError, match="k, layers"):
        layer_importance.draw(different)


def test_unit_importance_numbers(drawings: dict[str, Drawing]) -> None:
    drawing = drawings["unit_importance"]
    assert {row["unit"] for row in rows(drawing)} == {"q", "experts up", "input norm"}
    # weighted by elements: (10 * 1 + 30 * 4) / 40 = 3.25; seeds scale by 1, 2, 3
    (mean,) = rows(drawing, corpus="general", unit="experts up", layer=0, seed="mean")
    assert mean["value" if "value" in mean else "importance"] == pytest.approx(3.25e-5 * 2)
    assert "Experts of a layer are one row" in drawing.caption
    assert "a scale of their own" in drawing.caption
    assert drawing.figure is not None
    images = [axes.collections[0].norm for axes in drawing.figure.axes[:4]]
    assert (images[0].vmin, images[0].vmax) == (images[1].vmin, images[1].vmax) != (images[2].vmin, images[2].vmax)


def test_names_of_units() -> None:
    dense = "q_proj k_proj v_proj o_proj q_norm k_norm".split()
    names = [unit_of(f"model.layers.11.self_attn.{name}.weight", 11) for name in dense]
    names += [unit_of(f"model.layers.11.mlp.{name}_proj.weight", 11) for name in ("gate", "up", "down")]
    names += [unit_of(f"model.layers.11.{name}_layernorm.weight", 11) for name in ("input", "post_attention")]
    expected = ["q", "k", "v", "o", "q norm", "k norm", "gate", "up", "down", "input norm", "post attention norm"]
    assert short_names(names) == expected
    assert unit_of("transformer.h.3.attn.c_attn.bias", 3) == "attn.c_attn.bias"
    assert unit_of("model.layers.3.mlp.experts.3.up_proj.weight", 3) == "mlp.experts.*.up_proj"
    mixture = ["mlp.gate", "mlp.experts.*.gate_proj", "mlp.experts.*.down_proj", "mlp.shared_expert.gate_proj"]
    assert short_names(mixture) == ["mlp gate", "experts gate", "experts down", "shared expert gate"]
    assert short_names(["attn.q.weight", "attn.q.bias", "cross.q.bias"]) == ["weight", "attn q bias", "cross q bias"]
    assert short_names(["x", "x_proj"]) == ["x", "x_proj"]


def test_importance_metrics_numbers(drawings: dict[str, Drawing]) -> None:
    drawing = drawings["importance_metrics"]
    blocks = {(seed, one.metric, one.corpus): one.importance for seed in MASKING for one in of_base(seed).layers}
    for metric in METRICS[1:]:
        (found,) = rows(drawing, what="spearman", metric=metric, corpus="general", of="masking", of_corpus="general")
        pairs = [(blocks[seed, metric, "general"], blocks[seed, "masking", "general"]) for seed in MASKING]
        assert found["value"] == pytest.approx(np.mean([stats.spearmanr(*pair).statistic for pair in pairs]))
    # the domain's masking importances are the general ones, turned round
    (turned,) = rows(drawing, what="kendall", metric="masking", corpus="domain", of="masking", of_corpus="general")
    assert turned["value"] == pytest.approx(-1.0)
    (shared,) = rows(drawing, what="overlap", metric="masking", corpus="domain", of="masking", of_corpus="general")
    assert shared["value"] == 0.0
    (rank,) = rows(drawing, what="mean rank", metric="masking", corpus="general", layer=2, seed="mean")
    assert rank["value"] == pytest.approx((1 + 3 + 2) / 3)
    assert drawing.shown is not None
    table = {(row[0], row[1]): row for row in drawing.shown.rows}
    assert table["masking", "general"][-2:] == ["2, 3; 3, 4; 2, 4", "2.0"]
    assert table["masking", "domain"][2].startswith("-1.00")


def test_ranking_stability_numbers(drawings: dict[str, Drawing]) -> None:
    drawing = drawings["ranking_stability"]
    (one,) = rows(drawing, what="importance, nats", corpus="domain", seed=1, layer=1)
    assert (one["value"], one["low"], one["high"]) == pytest.approx((-0.1, -0.2, 0.1))
    (mean,) = rows(drawing, what="rank correlation", corpus="general", seed="mean", documents=8)
    assert mean["value"] == pytest.approx(0.3)
    (sample,) = rows(drawing, what="overlap", corpus="general", seed=2, documents=4)
    assert (sample["value"], sample["low"]) == pytest.approx((0.5, np.percentile([0.0, 0.5, 0.5, 1.0], 2.5)))
    without = of_base(0).stability[0].model_copy(update={"sizes": []})
    short = drawn(ranking_stability, [cell("vanilla", 0, Analyses(stability=[without]))])
    assert short.notes == ["ranking on domain text: no cell holds it", "ranking by probe size: no cell holds it"]


def test_activations_numbers(drawings: dict[str, Drawing]) -> None:
    drawing = drawings["activations"]
    (base,) = rows(drawing, what="overlap, mean over layers", method="adept", state="base")
    assert base["value"] == pytest.approx(0.7)  # of 0.6 and 0.8
    (change,) = rows(drawing, what="difference from base", method="full", state="adapted")
    values = [-0.1, -0.2, -0.3]
    assert (change["value"], change["low"], change["high"]) == pytest.approx(
        (-0.2, *stats.t.interval(0.95, 2, -0.2, stats.sem(values)))
    )
    assert {row["seed"] for row in rows(drawing, what="density")} == {0}
    assert drawing.figure is not None
    texts = [text.get_text() for axes in drawing.figure.axes for text in axes.texts]
    assert texts.count("no copy") == 2
    assert texts.count("overlap 0.60") == 3  # ADEPT's layer 1 in the base and as copy, full CPT's in the base
    lines = [line for axes in drawing.figure.axes for line in axes.lines]
    assert {colour("adept"), colour("full")} <= {line.get_color() for line in lines}


def test_activations_leave_out_empty_ends_of_the_grid(suite: list[Cell]) -> None:
    block = of_trained(0, True)
    wide = [
        one.model_copy(update={"low": -400.0, "high": 400.0, "density": [0.0] * 40 + [1.0] + [0.0] * 40})
        for one in block.activations
    ]
    drawing = drawn(activations, [cell("adept", 0, block.model_copy(update={"activations": wide}))])
    assert drawing.figure is not None
    low, high = drawing.figure.axes[0].get_xlim()
    assert low > -20
    assert high < 20
    assert drawing.notes == ["activations of full CPT: no cell holds them"]


def test_token_shift_numbers(drawings: dict[str, Drawing]) -> None:
    drawing = drawings["token_shift"]
    (mean,) = rows(drawing, what="share", method="adept", corpus="domain", seed="mean", kind="shifted")
    assert mean["value"] == pytest.approx(0.06)
    assert (mean["low"], mean["high"]) == pytest.approx(stats.t.interval(0.95, 2, 0.06, stats.sem([0.05, 0.06, 0.07])))
    words = rows(drawing, what="times shifted", method="full", corpus="general")
    assert [(row["token"], row["value"]) for row in words[:3]] == [("␣$x_1$", 90), ("$", 87), ("中文", 84)]
    assert drawing.figure is not None
    labels = {text.get_text() for axes in drawing.figure.axes for text in axes.get_yticklabels()}
    assert {"␣$x_1$", "$", "U+4E2D U+6587", "a_b^{c}"} <= labels
    hatches = {patch.get_hatch() for patch in drawing.figure.axes[0].patches}
    assert len(hatches) > 1


def test_no_word_shifted() -> None:
    drawing = drawn(token_shift, [cell("adept", 0, of_trained(0, True, tokens=[]))])
    assert drawing.figure is not None
    assert [text.get_text() for axes in drawing.figure.axes for text in axes.texts].count("none shifted") == 2


def test_tokens_are_seen() -> None:
    assert visible(" the") == visible("Ġthe") == visible("▁the") == "␣the"
    assert visible("a\n\t") == "a\\n\\t"
    assert visible("") == "(empty)"
    assert visible("\u200b") == "U+200B"
    assert visible("中文") == "中文"
    assert plain("中文") == "U+4E2D U+6587"
    assert len(plain("x" * 40)) == 14
    assert plain("naïve_β") == "naïve_β"


def test_cells_together_in_order(suite: list[Cell]) -> None:
    found = together([*suite[::-1], *suite])
    assert [(one.method, one.seed) for one in found] == [
        (method, seed) for method in ("vanilla", "full", "adept") for seed in (0, 1, 2)
    ]


def test_imports_neither_torch_nor_matplotlib() -> None:
    names = ", ".join(f"adept_bench.figures.{module.KIND.name}" for module in MODULES)
    code = (
        f"import {names}, sys; print([name for name in ('torch', 'transformers', 'matplotlib') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "values",
    [
        [9.0, 0.2, -0.12, 0.01, 0.03, -0.1, 0.05],  # logarithmic: a quarter below -0.12 is a hair there
        [9.0, 0.2, -0.5, 0.01, 0.03, -0.02, 0.0],
        [0.3, 0.2, -0.01],  # linear: a tenth of -0.01 is nothing beside 0.3
        [-0.3, -0.2, -0.001],
    ],
)
def test_marks_of_the_outermost_layers_are_whole(values: list[float]) -> None:
    layers = len(values)
    block = Stability(
        corpus="general",
        documents=16,
        k=2,
        samples=50,
        importance=values,
        low=values,
        high=values,
        chosen=[0.0] * layers,
        rank_correlation=[0.8, 0.6, 0.9],
        sizes=[],
    )
    figure = drawn(ranking_stability, [cell("vanilla", 0, Analyses(stability=[block]))]).figure
    assert figure is not None
    figure.draw_without_rendering()
    axes = figure.axes[0]
    (marks,) = axes.collections[-1:]
    points = marks.get_offset_transform().transform(marks.get_offsets())[:, 1] * 72 / figure.dpi
    radius = (marks.get_sizes()[0] ** 0.5 + marks.get_linewidths()[0]) / 2
    frame = axes.get_window_extent()
    assert min(points) - radius > frame.y0 * 72 / figure.dpi
    assert max(points) + radius < frame.y1 * 72 / figure.dpi
