"""What `bench` stores: the timing of one method on one shape and device, `timing/<device>/<shape>-<method>.json`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from adept_bench.errors import InputError
from adept_bench.files import write_json
from adept_bench.guarded import RECORD, one_line, read_text
from adept_bench.progress import reporter
from adept_bench.results.damage import damage
from adept_bench.results.schema import Block, FileName, Provenance, Text
from adept_bench.results.values import HUGE, Amount, Count, Depth, Positive, StepSettings, Version1

TIMING_VERSION = 1
FOLDER = "timing"


class Timing(Block):
    """One method's timing. Weights and tokens are random: nothing here is about what is learned."""

    schema_version: Version1
    shape: FileName
    """Of the model: a name of the table of architectures, or a preset's."""
    method: FileName
    device: Text
    """As the machine names it; the folder has it in letters and digits."""
    layers: Depth
    total_parameters: Count
    trainable_parameters: Count
    expanded_layers: tuple[Depth, ...] = ()
    settings: StepSettings
    """Batch, length, precision and what else decides a step."""
    step_seconds: Annotated[list[Amount], Field(min_length=1)]
    """Of single steps after the warm-up, those directly after a refresh left out."""
    tokens_per_step: Positive
    flops_per_step: Annotated[float, Field(gt=0, le=HUGE)]
    """By `training.cost.train_flops`; what checkpointing computes again is not counted."""
    peak_flops: Annotated[float, Field(gt=0, le=HUGE)] | None = None
    """The device's stated peak in the precision of the training, operations a second; null where none is known."""
    peak_memory_bytes: Count
    predicted_peak_bytes: Count
    """By `plan`, for tensors alone; on a processor the measured peak is of the whole process."""
    layer_probe_seconds: Amount | None = None
    unit_probe_seconds: Amount | None = None
    refresh_seconds: tuple[Amount, ...] = ()
    provenance: Provenance


def conditions(timing: Timing) -> dict[str, Any]:
    """The settings that methods must share to be compared: all but where a method's layers are assumed to be."""
    return {name: value for name, value in timing.settings.items() if name != "layers"}


def device_folder(device: str) -> str:
    """The device's name as a folder."""
    return re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-") or "device"


def timing_path(root: Path, device: str, shape: str, method: str) -> Path:
    """Where the timing's file is or would be."""
    return root / FOLDER / device_folder(device) / f"{shape}-{method}.json"


def write_timing(root: Path, values: dict[str, Any]) -> Path:
    """Validate and write a timing whole; returns the file. Raises ValueError where it does not fit the schema."""
    content = {"schema_version": TIMING_VERSION, **values}
    timing = Timing.model_validate_json(json.dumps(content, allow_nan=False))
    path = timing_path(root, timing.device, timing.shape, timing.method)
    write_json(path, timing.model_dump(mode="json"))
    return path


def read_timing(path: Path) -> Timing:
    """The timing in the file. Raises InputError, naming the file and the reason, where there is none."""
    text = read_text(path, RECORD, "the file of a timing")
    try:
        return Timing.model_validate_json(text)
    except ValidationError as error:
        raise damage(path, text, error, "timing", TIMING_VERSION) from None


def load_timings(root: Path, refused: Callable[[str, str], None] | None = None) -> dict[str, Timing]:
    """Every readable timing below `root`, by its place there; what cannot be read is named in the log.

    refused: told of the place and the reason too.
    """
    found = {}
    for path in sorted(root.glob(f"{FOLDER}/*/*.json")):
        place = path.relative_to(root).as_posix()
        try:
            found[place] = read_timing(path)
        except InputError as reason:
            reporter().log(one_line(f"left out: {reason}", 1000))
            if refused is not None:
                refused(place, str(reason))
    return found
