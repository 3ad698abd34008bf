"""The schedule by hand, and that it multiplies a refreshed rate through every wrapper."""

from __future__ import annotations

import math

import pytest
import torch
from accelerate import Accelerator
from torch.optim.lr_scheduler import LambdaLR

from adept_bench.training.schedule import schedule_factor, set_base_rates, under


def test_hand_computed_values():
    cosine = [schedule_factor(s, 10, warmup=0.2, schedule="cosine") for s in range(11)]
    assert cosine[:3] == [0.5, 1.0, 1.0]
    assert cosine[6] == pytest.approx(0.5)
    assert cosine[10] == pytest.approx(0.0)
    assert cosine[4] == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))
    assert schedule_factor(6, 10, warmup=0.2, schedule="linear") == pytest.approx(0.5)
    assert schedule_factor(10, 10, warmup=0.2, schedule="linear", min_rate=0.1) == pytest.approx(0.1)
    assert schedule_factor(6, 10, warmup=0.2, schedule="cosine", min_rate=0.2) == pytest.approx(0.6)
    assert {schedule_factor(s, 10, warmup=0.0, schedule="constant") for s in range(10)} == {1.0}
    assert schedule_factor(0, 10, warmup=0.0, schedule="cosine") == 1.0


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_schedule_goes_on_multiplying_new_base_rates(wrapped):
    parameters = [torch.nn.Parameter(torch.ones(2)) for _ in range(3)]
    optimizer = torch.optim.AdamW([{"params": [p]} for p in parameters], lr=1.0)
    scheduler = LambdaLR(optimizer, lambda step: 1 / (step + 1))
    if wrapped:
        optimizer, scheduler = Accelerator(cpu=True).prepare(optimizer, scheduler)
        assert under(scheduler) is not scheduler

    def step():
        for parameter in parameters:
            parameter.grad = torch.ones(2)
        optimizer.step()
        scheduler.step()

    step()
    set_base_rates(scheduler, optimizer, [2.0, 0.0, 6.0])
    assert [g["lr"] for g in optimizer.param_groups] == [1.0, 0.0, 3.0]  # in force at once
    assert scheduler.get_last_lr() == [1.0, 0.0, 3.0]
    step()
    assert [g["lr"] for g in optimizer.param_groups] == pytest.approx([2 / 3, 0.0, 2.0])
    with pytest.raises(ValueError, match="2 rates for 3"):
        set_base_rates(scheduler, optimizer, [1.0, 1.0])
