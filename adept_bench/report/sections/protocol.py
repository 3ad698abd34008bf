"""How the results were made: statistics, base models, corpora, budget, tasks, learning rates and their choice."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from adept_bench.report.markup import Safe, folded, items, join, paragraphs, table, tag
from adept_bench.report.material import Material, Pair
from adept_bench.results.schema import Cell, LearningRateChoice

STATISTICS = (
    "Differences are paired: two methods answer the same items, with the same base model, corpora and budget under the "
    "same seed. A score is the unweighted mean over a group's tasks, averaged over seeds.",
    "An interval takes items and seeds as random and crossed: the seeds' spread gives one part of the variance with a "
    "degree of freedom less than there are seeds, the items' spread beyond the rest the other; the half-width is the "
    "95% point of the sum of the two t variables. Tasks are fixed. With one seed it speaks of other items only.",
    "Numbers that a result has once, such as a held-out loss, get a t interval over seeds, and none with one seed.",
    "Intervals are not adjusted for the number of comparisons in a table; the verdicts on claims are, as stated there.",
)
TRAINING = ("tokens", "length", "batch_size", "accumulation", "schedule", "warmup", "weight_decay", "precision")
SOURCES = {
    "shipped": "chosen earlier, shipped",
    "selected": "chosen in this run",
    "set": "set by the user",
    "default": "the method's default, not tuned",
    "grid": "one of the grid",
    "none": "nothing trains",
}


def render(material: Material) -> Safe:
    """The statistics once; then, for each (preset, suite), what its cells say of how they were made."""
    statistics = join([tag("h3", "Statistics"), items(STATISTICS)])
    pairs = (tag("section", *_pair(pair), aria_labelledby=f"protocol-{pair.anchor}") for pair in material.pairs)
    return join([statistics, *pairs])


def _pair(pair: Pair) -> list[Safe]:
    return [
        tag("h3", pair.title, id=f"protocol-{pair.anchor}"),
        items(_setting(pair)),
        folded("Tasks and corpora", _tasks(pair), _corpora(pair)),
        _rates(pair),
        *_variants(pair),
    ]


def _setting(pair: Pair) -> list[str]:
    cells = pair.cells
    bases = {(cell.model.source, cell.model.revision or cell.model.hash or "") for cell in cells}
    layers = {cell.model.base_layers for cell in cells} - {None}
    lines = [
        f"Base: {_listed(source for source, _ in bases)}, {len(bases)} different "
        f"{'models' if len(bases) > 1 else 'model'} by hash"
        + (f", {_listed(layers)} layers" if layers else "")
        + f"; seeds {_listed(pair.seeds)}."
    ]
    budgets = {cell.training.tokens for cell in cells if cell.training.steps}
    steps = {cell.training.steps for cell in cells if cell.training.steps}
    if budgets:
        tokens = " and ".join(f"{one:,}" for one in sorted(budgets))
        same = "the same for every method that trains" if len(budgets) == 1 else "which differ: they are not compared"
        lines.append(f"Budget: {tokens} tokens in {_listed(steps)} steps, {same}.")
    settings = ((name, _values(cells, "training", name)) for name in TRAINING)
    lines.append("Training: " + "; ".join(f"{_words(name)} {value}" for name, value in settings if value) + ".")
    if probe := _values(cells, "data", "probe"):
        lines.append(f"Probe corpus: {probe}, {_values(cells, 'data', 'probe_documents') or 'all'} documents.")
    return lines


def _values(cells: Iterable[Cell], section: str, name: str) -> str:
    """The different values of a setting among the cells' configurations, which are free in form."""
    found = (part.get(name) for cell in cells if isinstance(part := cell.config.get(section), dict))
    return _listed(value for value in found if value is not None)


def _tasks(pair: Pair) -> Safe:
    rows = {
        (
            task.group,
            name,
            str(task.n),
            task.metric,
            "–" if task.chance is None else f"{100 * task.chance:.1f}%",
            "–" if task.num_fewshot is None else str(task.num_fewshot),
            "–" if task.version is None else str(task.version),
            task.items_hash,
        )
        for cell in pair.cells
        for name, task in cell.tasks.items()
    }
    header = ["group", "task", "items", "metric", "chance", "examples", "version", "hash of the items"]
    return table(f"Tasks of {pair.title}", header, sorted(rows))


def _corpora(pair: Pair) -> Safe:
    found: dict[tuple[str, str], set[int]] = {}
    for cell in pair.cells:
        identity = cell.config.get("identity")
        for name, value in identity.items() if isinstance(identity, dict) else ():
            found.setdefault((str(name), "–" if value is None else str(value)), set()).add(cell.seed)
    rows = [[name, value, _listed(seeds)] for (name, value), seeds in sorted(found.items())]
    return table(f"What was read, {pair.title}", ["what", "content", "seeds"], rows) if rows else Safe("")


def _rates(pair: Pair) -> Safe:
    """A row a method and choice; the trials folded below."""
    choices: dict[tuple[str, str], tuple[LearningRateChoice, list[int]]] = {}
    for method in pair.methods:
        for cell in pair.of(method):
            if cell.learning_rate and cell.learning_rate.value is not None:
                key = method, cell.learning_rate.model_dump_json()
                choices.setdefault(key, (cell.learning_rate, []))[1].append(cell.seed)
    if not choices:
        return paragraphs("No result here says how its learning rate was chosen.")
    header = ["method", "peak rate", "how it was chosen", "rates tried", "seeds"]
    rows = [
        [method, f"{choice.value:.3g}", SOURCES[choice.source], _grid(choice), _listed(seeds)]
        for (method, _), (choice, seeds) in choices.items()
    ]
    criteria = {choice.criterion for choice, _ in choices.values() if choice.criterion}
    differing = {
        f"{method}: settings differ from those the rate was chosen under: {', '.join(choice.differs)}"
        for (method, _), (choice, _) in choices.items()
        if choice.differs
    }
    return join(
        [
            table(f"Learning rates, {pair.title}", header, rows, "words"),
            tag("div", items([*(f"Chosen by: {one}" for one in sorted(criteria)), *sorted(differing)]), class_="notes"),
            *_trials(pair, choices),
        ]
    )


def _grid(choice: LearningRateChoice) -> str:
    tried = choice.grid or sorted(_scores(choice))
    return f"{len(tried)}: {tried[0]:.2g} to {tried[-1]:.2g}" if tried else "–"


def _trials(pair: Pair, choices: dict[tuple[str, str], tuple[LearningRateChoice, list[int]]]) -> list[Safe]:
    """The score of each rate that was tried, a row a choice; what was taken is in bold."""
    rows = []
    rates = sorted({rate for choice, _ in choices.values() for rate in _scores(choice)})
    for (method, _), (choice, seeds) in choices.items():
        if scores := _scores(choice):
            shown = [_score(scores.get(rate), chosen=rate == choice.value) for rate in rates]
            rows.append([f"{method}, seeds {_listed(seeds)}", *shown])
    if not rows:
        return []
    about = f"Score of each peak rate that was tried, {pair.title}; bold: the one taken"
    header = ["method", *(f"{rate:.3g}" for rate in rates)]
    count = sum(len(_scores(choice)) for choice, _ in choices.values())
    return [folded(f"All {count} trials of learning rates", table(about, header, rows))]


def _scores(choice: LearningRateChoice) -> dict[float, Any]:
    """Score by rate; trials are free in form."""
    pairs = ((trial.get("learning_rate"), trial.get("score")) for trial in choice.trials)
    return {rate: score for rate, score in pairs if isinstance(rate, int | float)}


def _score(value: Any, chosen: bool) -> Safe | str:
    shown = "" if value is None else f"{value:.3f}" if isinstance(value, int | float) else str(value)
    return tag("strong", shown) if chosen else shown


def _variants(pair: Pair) -> list[Safe]:
    """What the suite's own variants change."""
    rows = {
        (cell.method, cell.variant.of, cell.variant.about, _plain(cell.variant.settings))
        for cell in pair.cells
        if cell.variant
    }
    header = ["variant", "of", "about", "what it changes"]
    return [table(f"Variants, {pair.title}", header, sorted(rows))] if rows else []


def _plain(value: dict[str, Any]) -> str:
    return ", ".join(
        f"{key} = {json.dumps(part, ensure_ascii=False) if not isinstance(part, str) else part}"
        for key, part in sorted(value.items())
    )


def _words(name: str) -> str:
    return name.replace("_", " ")


def _listed(values: Iterable[Any]) -> str:
    """Different values, in order where they have one."""
    found: Sequence[Any] = list(dict.fromkeys(str(value) for value in values))
    numbers = all(one.isdigit() for one in found)
    return ", ".join(sorted(found, key=lambda one: (int(one) if numbers else 0, one)))
