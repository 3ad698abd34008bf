"""What several processes hold beside one, and what `plan` says of it: copies of gradients, and of the whole model."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from builders import estimate, qwen3_config, run_config

from adept_bench.planning.fit import as_configured

SCRIPT = Path(__file__).with_name("resident.py")
NO_ZERO = pytest.mark.skipif(find_spec("deepspeed") is None, reason="deepspeed is not installed")
OF_ZERO = [pytest.param(f"{stage} 2", marks=NO_ZERO) for stage in ("zero1", "zero2", "zero3")]
pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")


@pytest.fixture(scope="module")
def found(tmp_path_factory, python, torchrun):
    """(what one process holds, what the first of two does), in bytes."""
    one, two = tmp_path_factory.mktemp("one") / "out", tmp_path_factory.mktemp("two") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MALLOC_MMAP_THRESHOLD_", "65536")  # what is freed leaves the process at once
        for start, out in ((python, one), (torchrun, two)):
            ended = start(SCRIPT, out)
            assert ended.returncode == 0, ended.stderr
    return tuple(json.loads(out.with_name("out-0.json").read_text()) for out in (one, two))


@pytest.mark.parametrize("batches", [1, 2])
def test_ddp_keeps_a_second_copy_of_the_gradients(found, batches):
    """The buckets: in the peak of a step, and held between steps, when the gradients themselves are gone."""
    one, two = (each[f"ddp {batches}"] for each in found)
    gradients = two["weights"]  # all of them train, in float32
    for what in ("peak", "held"):
        more = two["steps"][-1][what] - one["steps"][-1][what]
        assert 0.8 * gradients < more < 1.4 * gradients, what  # measured: 1.0 to 1.2


def test_fsdp_shards_gradients_after_every_batch(found):
    """Whole gradients kept to the end of the step would be twice these, and no parameter would have its shard's yet."""
    two = found[1]["fsdp2 2"]
    gradients, (first, second) = two["weights"], two["batches"][-2:]
    assert first["gradients"] == pytest.approx(gradients / 2, rel=0.01)
    assert second["gradients"] == first["gradients"]
    more = first["held"] - two["steps"][-2]["held"]
    assert 0.4 * gradients < more < 0.75 * gradients


def test_fsdp_shards_a_copy_that_shares_its_memory(found):
    """Beside the model there are the shards alone, half of it here, and never a second whole one."""
    two = found[1]["fsdp2 2"]
    model = two["weights"]
    assert two["sharding"] == pytest.approx(model / 2, abs=0.3 * model)  # measured: 0.5 to 0.6


@pytest.mark.parametrize("what", ["ddp 1", "ddp 2", "fsdp2 2", *OF_ZERO])
def test_the_plan_says_what_a_process_holds_at_most(found, what):
    """Of a process of two; the model that waits under FSDP2 and ZeRO is in memory here, but none of the device's."""
    strategy, batches = what.split()
    config = run_config(
        training={
            "tokens": 4096,
            "length": 8,
            "batch_size": 1,
            "accumulation": 2 * int(batches),
            "distributed": strategy,
        }
    )
    one = estimate("full", config, qwen3_config(hidden_size=256, intermediate_size=4096))
    predicted = one.memory(as_configured(config.training, 2)).peak(accumulating=True)
    measured = found[1][what]["steps"][-1]["peak"] + (found[1][what]["weights"] if strategy == "ddp" else 0)
    assert predicted == pytest.approx(measured, rel=0.1)
