"""`--k auto`: how many layers to copy, and which, from the importance profile under a budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from adept_bench.models.selection import lowest

TOLERANCE = 0.01  # of the base loss: what bypassing a layer may cost for the layer to count as spare


@dataclass(frozen=True)
class Choice:
    """`layers`: base layers to copy, ascending. `reason`: why these and so many, in a sentence or two."""

    layers: list[int]
    reason: str


def k_of_share(share: float, layer_parameters: float, base_parameters: int, layers: int, *, added: bool = True) -> int:
    """The most layers whose parameters are at most `share` (0 to 1) of the model's; at least 1.

    Added: k * a / (N + k * a) <= share, a the parameters of a layer (their mean) and N those of the base. Layers of the
    base itself: k * a / N <= share.
    """
    whole = base_parameters / (1 - share) if added else base_parameters
    most = int(share * whole / layer_parameters + 1e-9)
    return max(1, min(layers, most))


def choose(
    importance: Sequence[float],
    base_loss: float,
    *,
    most: int,
    most_because: str,
    time_share: Callable[[Sequence[int]], float] | None = None,
    time_budget: float | None = None,
    tolerance: float = TOLERANCE,
) -> Choice:
    """The least important layers, as many as the budgets and the profile allow; at least one.

    A layer is spare where bypassing it costs less than `tolerance` times the base loss: copies belong after those
    (paper, section 3.1), and taking more would copy layers that the general competence rests on. `most`: the parameter
    budget, which `most_because` puts in words. `time_share(layers)`: training operations of copies of these layers as
    a share of full pretraining's; it must stay within `time_budget`.
    """
    limit = tolerance * base_loss
    spare = sum(value < limit for value in importance)
    count = max(1, min(most, spare))
    reasons = [f"{most_because} allows {most}; {spare} of {len(importance)} layers cost less than {limit:.3g} nats"]
    reasons[0] += f" ({tolerance:.0%} of the base loss) when bypassed"
    if time_share is not None and time_budget is not None:
        while count > 1 and time_share(lowest(importance, count)) > time_budget:
            count -= 1
        share = time_share(lowest(importance, count))
        held = "within" if share <= time_budget else "above, and one layer is the least,"
        operations = f"{share:.2f} of full pretraining's operations"
        reasons.append(f"training takes {operations}, {held} the budget {time_budget:g}")
    chosen = lowest(importance, count)
    worst = max(importance[layer] for layer in chosen)
    reasons.append(f"the {count} least important: {', '.join(map(str, chosen))} (at most {worst:.3g} nats each)")
    return Choice(chosen, "; ".join(reasons))
