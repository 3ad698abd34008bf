"""Where a falling or rising function of one number is zero. `scipy.optimize` takes 0.15 seconds to import."""

from __future__ import annotations

from collections.abc import Callable

STEPS = 200


def root(function: Callable[[float], float], low: float, high: float, relative: float = 1e-6) -> float:
    """The zero between `low` and `high`, where the function has different signs, to a share `relative` of it.

    Regula falsi in Illinois' form: secants, and an end that stays a second time is weighed half, so that it moves too.
    Raises ValueError where the signs are the same.
    """
    at_low, at_high = function(low), function(high)
    if at_low == 0.0 or at_high == 0.0:
        return low if at_low == 0.0 else high
    if (at_low > 0) == (at_high > 0):
        raise ValueError(f"no change of sign between {low!r} and {high!r}")
    middle, moved = low, ""
    for _ in range(STEPS):
        before, middle = middle, (low * at_high - high * at_low) / (at_high - at_low)
        value = function(middle)
        if value == 0.0 or abs(middle - before) <= relative * abs(middle):
            break
        if (value > 0) == (at_high > 0):
            at_low *= 0.5 if moved == "high" else 1.0
            high, at_high, moved = middle, value, "high"
        else:
            at_high *= 0.5 if moved == "low" else 1.0
            low, at_low, moved = middle, value, "low"
    return middle
