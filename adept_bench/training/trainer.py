"""Training under one budget on transformers' Trainer, with unit-wise rates and exact resumption."""

from __future__ import annotations

import gc
import math
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from adept_bench.distributed.group import from_main, group, mean
from adept_bench.distributed.sharding import shard_with, sharded_copy
from adept_bench.distributed.strategy import DDP, FSDP2, ONE, ZERO, spread, strategy_of, trainer_arguments
from adept_bench.distributed.zero import closing_engine, measured_on, zero_with
from adept_bench.errors import InputError
from adept_bench.files import content_hash
from adept_bench.probing.loss import NotFiniteError, document_losses
from adept_bench.progress import reporter
from adept_bench.shortage import TRAINING, UNIT_PROBE, advised
from adept_bench.training import checkpoints
from adept_bench.training.documents import Told, within_documents
from adept_bench.training.headloss import InBlocks, loss_in_blocks
from adept_bench.training.optimizers import make_optimizer
from adept_bench.training.schedule import schedule_factor
from adept_bench.training.state import left_as_found
from adept_bench.training.units import BoundRates, RateController
from adept_bench.training.wholeness import SCHEDULER, loading

if TYPE_CHECKING:
    from adept_bench.config.schema import TrainingConfig

OnProgress = Callable[[dict[str, Any]], None]
Evaluate = Callable[[nn.Module], dict[str, Any]]


class DivergedError(RuntimeError):
    """The loss or what follows from it is no longer a number: the cell fails, its checkpoints up to then are kept."""


@dataclass
class TrainRecord:
    """What a training leaves behind, beside the trained model.

    curve: {"step", "loss", "learning_rate"} every `log_every` steps, the loss a mean over them in nats a token, the
    rate the base rate times the schedule. refreshes: the unit ledger (RateController). seconds: wall time of the
    updates over all parts of an interrupted run, without the probes, which are in `probe_seconds`, and without the
    measures on the way, `path`, which are in `path_seconds`. resumed_from: the step the last part went on from, None
    for an unbroken run.
    """

    steps: int
    tokens: int
    curve: list[dict[str, float]] = field(default_factory=list)
    refreshes: list[dict[str, Any]] = field(default_factory=list)
    path: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    probe_seconds: float = 0.0
    path_seconds: float = 0.0
    resumed_from: int | None = None

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds if self.seconds else 0.0


@advised("training", TRAINING)
def train(
    model: nn.Module,
    dataset: torch.utils.data.Dataset,
    *,
    training: TrainingConfig,
    learning_rate: float,
    rates: BoundRates | None = None,
    output_dir: Path | None = None,
    seed: int = 0,
    on_progress: OnProgress | None = None,
    evaluate: Evaluate | None = None,
    fingerprint: str = "",
    description: str = "training",
) -> TrainRecord:
    """Train the parameters of `model` that require gradients, in place, for `training.steps` updates.

    `dataset`: items {"input_ids", "labels"} of `training.length` tokens, read in order; with `training.packing`
    documents "position_ids" too. `rates`: unit-wise rates, None for one rate. `output_dir` and `training.save_every`:
    where and how often to save; the newest whole checkpoint there of the same run (same settings, parameters, data and
    `fingerprint`) is gone on from, a damaged one is set aside, one of another run is removed. Killed and resumed equals
    unbroken: bit for bit on a processor, up to rounding on a GPU, where fused attention adds up its gradients in no
    fixed order. `on_progress` gets {"step", "steps", "loss", "rate", "tokens/s"} every `log_every` steps; without it
    the reporter in force shows them. `evaluate` is given the model after every `training.evaluate_every` updates but
    the last, must leave it as it was, and its dict becomes a point of `path`.
    Training runs where the model is. Trainable
    weights of 16 bits are float32 while they train; with precision fp32 so are the frozen ones. After an error a model
    that was trained in shards is left in main memory.

    Raises DivergedError when a loss is not finite, be it of a step, at a refresh or of the trained model on its last
    batch, ValueError when nothing trains or the dataset is too short or lacks positions, InputError before the first
    step for a model that cannot be trained as `training.packing` says.
    """
    steps, micro = training.steps, training.batch_size * training.accumulation
    trainable = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    if not trainable:
        raise ValueError("no parameter of the model requires gradients")
    if len(dataset) < steps * micro:  # type: ignore[arg-type]
        raise ValueError(f"the dataset holds {len(dataset)} sequences; {steps * micro} are needed")  # type: ignore[arg-type]
    if training.packing == "documents" and "position_ids" not in dataset[0]:
        raise ValueError("training.packing: documents takes sequences with position_ids; the dataset has none")
    record = TrainRecord(steps, steps * training.tokens_per_step)
    identity = content_hash(
        {
            "training": training.model_dump(mode="json"),
            "learning_rate": learning_rate,
            "seed": seed,
            "trainable": trainable,
            "units": [[unit.name, *unit.parameters] for unit in rates.units] if rates else None,
            "every": rates.every if rates else None,
            **({"pairing": rates.pairing} if rates and rates.pairing else {}),
            "data": dataset.describe() if hasattr(dataset, "describe") else None,
            "fingerprint": fingerprint,
            **spread(training),
        }
    )
    found = from_main(lambda: _found(output_dir, identity))
    # without autocast 16-bit activations would meet the float32 masters, so then everything is float32
    masters = trainable if training.precision == "bf16" else [name for name, _ in model.named_parameters()]
    device = next(model.parameters()).device
    run = _Run(record, training, learning_rate, identity, seed, device)
    run.evaluate = evaluate
    run.told = within_documents(model, training) if training.packing == "documents" else lambda inputs: inputs
    with left_as_found(model, masters), _folder(output_dir) as folder, _reported(on_progress, run, description):
        _update(run, model, dataset, rates, trainable, folder, found, saves=output_dir is not None)
        gc.collect()  # shards and optimizer state are in cycles, and must be gone before the model is whole again
    model.to(device)  # not after an error, which keeps the shards: its place would be taken by a shortage of memory
    last = range(steps * micro - training.batch_size, steps * micro)
    try:
        document_losses(model, [dataset[index]["input_ids"].tolist() for index in last], batch_size=training.batch_size)
    except NotFiniteError as error:
        raise run.diverged("training diverged, as shown by the model", steps, error) from None
    return record


def _update(
    run: _Run,
    model: nn.Module,
    dataset: torch.utils.data.Dataset,
    rates: BoundRates | None,
    trainable: Collection[str],
    folder: str,
    found: tuple[Path, dict[str, Any]] | None,
    *,
    saves: bool,
) -> None:
    """The updates, from the checkpoint `found` on. A model that trained in shards is left in main memory."""
    plain = "forward" not in vars(model)
    with _placed(model, run, trainable) as live:
        run.controller = RateController(live, rates, run.learning_rate, run.training.weight_decay)
        # in shards a head's weights are whole only within its own forward pass
        run.in_blocks = loss_in_blocks(live, run.training) if run.strategy in (ONE, DDP) else nullcontext
        arguments = _arguments(run, folder, saves=saves, spread_by_itself=hasattr(live, "hf_device_map"))
        try:
            trainer = _UnitTrainer(run, live, dataset, arguments)
            with closing_engine(trainer.accelerator):
                trainer.train(resume_from_checkpoint=run.restore(found))
        finally:
            if plain:  # accelerate wraps it under bf16; a bound method of the model's own would keep the model alive
                for name in ("forward", "_original_forward"):
                    vars(live).pop(name, None)
            run.record.refreshes = run.controller.ledger
            del run.controller, run.measured, run.in_blocks, run.told


@contextmanager
def _reported(on_progress: OnProgress | None, run: _Run, description: str) -> Iterator[None]:
    """What the run's progress goes to: `on_progress`, or the reporter in force under `description`."""
    if on_progress is not None:
        run.on_progress = on_progress
        yield
        return
    with reporter().task(description, total=run.training.steps, unit="step") as task:

        def show(fields: dict[str, Any]) -> None:
            task.update(fields["step"] - task.done, **{k: fields[k] for k in ("loss", "rate", "tokens/s")})

        run.on_progress = show
        yield


def _placed(model: nn.Module, run: _Run, trainable: Collection[str]) -> AbstractContextManager[nn.Module]:
    """The model that is trained: itself, or a copy that the processes hold in shards."""
    run.measured = partial(measured_on, model, run.device) if run.strategy in ZERO else nullcontext
    return sharded_copy(model, trainable, run.strategy) if run.strategy in (FSDP2, *ZERO) else nullcontext(model)


def _folder(output_dir: Path | None) -> AbstractContextManager[str]:
    """The Trainer makes its output folder even where it writes nothing to it."""
    if output_dir is None:
        return tempfile.TemporaryDirectory(prefix="adept-bench-")
    return nullcontext(str(output_dir))


def _found(output_dir: Path | None, identity: str) -> tuple[Path, dict[str, Any]] | None:
    """The checkpoint to go on from; one of another run is removed, since its steps would be mixed with ours."""
    if output_dir is None:
        return None
    found = checkpoints.latest_whole(output_dir)
    if found is not None and found[1]["identity"] != identity:
        reporter().log(f"{found[0]}: a checkpoint of other settings; training starts anew")
        found = None
    checkpoints.clear(output_dir, keep=checkpoints.newest(output_dir) if found else ())
    return found


def _arguments(run: _Run, folder: str, *, saves: bool, spread_by_itself: bool) -> TrainingArguments:
    training, device = run.training, run.device
    if device.type == "cuda" and device.index not in (None, group().local_rank) and not spread_by_itself:
        raise InputError(f"model on {device}: training uses the first visible GPU; choose it with CUDA_VISIBLE_DEVICES")
    saves = saves and training.save_every is not None
    arguments = TrainingArguments(
        output_dir=folder,
        max_steps=training.steps,
        num_train_epochs=1,
        **trainer_arguments(training, run.strategy),
        max_grad_norm=training.max_grad_norm,
        train_sampling_strategy="sequential",
        bf16=training.precision == "bf16",
        seed=run.seed,
        use_cpu=device.type == "cpu",
        save_strategy="steps" if saves else "no",
        save_steps=training.save_every or training.steps,
        save_total_limit=None,  # ours drops the older one, and only after the new one is complete
        logging_strategy="no",
        logging_nan_inf_filter=False,  # it would replace a diverged loss with an invented one
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=device.type == "cuda",
    )
    arguments._n_gpu = min(1, arguments.n_gpu)  # several visible GPUs would multiply the batch and so the token budget
    return arguments


class _Run:
    """The state of a training that the Trainer does not keep: curve, ledger, seconds. Saved with each checkpoint."""

    controller: RateController  # of the model as it trains, and no longer
    measured: Callable[[nn.Module], AbstractContextManager[nn.Module]]  # the same: what refreshes measure of it
    in_blocks: InBlocks  # the same: its loss without whole logits
    told: Told  # the same: what a forward pass gets of a batch

    def __init__(
        self,
        record: TrainRecord,
        training: TrainingConfig,
        learning_rate: float,
        identity: str,
        seed: int,
        device: torch.device,
    ) -> None:
        self.record, self.training, self.learning_rate, self.identity = record, training, learning_rate, identity
        self.seed, self.device, self.strategy = seed, device, strategy_of(training)
        self.on_progress: OnProgress = lambda fields: None
        self.evaluate: Evaluate | None = None
        self.step_loss: torch.Tensor | None = None
        self.losses: list[float] = []  # of the steps since the last point of the curve
        self.begun, self.seconds_before, self.apart_before, self.done_before = time.perf_counter(), 0.0, 0.0, 0

    def factor(self, step: int) -> float:
        t = self.training
        return schedule_factor(step, t.steps, warmup=t.warmup, schedule=t.schedule, min_rate=t.min_rate)

    def begin(self) -> None:
        self.begun = time.perf_counter()

    def note_time(self) -> None:
        """Bring the record's seconds up to now: this part's wall time less what is apart, plus the parts before."""
        apart = self.record.probe_seconds + self.record.path_seconds - self.apart_before
        self.record.seconds = self.seconds_before + time.perf_counter() - self.begun - apart

    def add_loss(self, loss: torch.Tensor) -> None:
        self.step_loss = loss if self.step_loss is None else self.step_loss + loss

    def diverged(self, what: str, step: int, reason: Exception | None = None) -> DivergedError:
        """The error of a run whose numbers broke at `step`: `what` broke, and why."""
        where = f"step {step} of {self.record.steps} (learning rate {self.learning_rate:g})"
        return DivergedError(f"{what} at {where}" if reason is None else f"{what} after {where}: {reason}")

    def end_step(self, step: int) -> None:
        assert self.step_loss is not None
        loss, self.step_loss = mean(float(self.step_loss)), None
        if not math.isfinite(loss):
            raise self.diverged(f"the training loss is {loss}", step)
        self.losses.append(loss)
        if step % self.training.log_every and step != self.record.steps:
            return
        point = {
            "step": step,
            "loss": sum(self.losses) / len(self.losses),
            "learning_rate": self.learning_rate * self.factor(step - 1),
        }
        self.losses.clear()
        self.record.curve.append(point)
        self.note_time()
        here = self.record.seconds - self.seconds_before
        speed = (step - self.done_before) * self.training.tokens_per_step / here if here > 0 else 0.0
        shown = {"loss": point["loss"], "rate": point["learning_rate"], "tokens/s": speed}
        self.on_progress({"step": step, "steps": self.record.steps, **shown})

    @advised("a refresh of unit importance", UNIT_PROBE)
    def refresh(self, step: int, model: nn.Module, scheduler: Any, optimizer: Any) -> None:
        started, bf16 = time.perf_counter(), self.training.precision == "bf16"
        # under mixed precision the float32 masters meet 16-bit activations, which only autocast allows
        with self.measured(model) as ordinary, torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            try:
                self.controller.refresh(step, ordinary, scheduler, optimizer)
            except NotFiniteError as error:
                raise self.diverged("training diverged, as shown by the refresh", step, error) from None
        self.record.probe_seconds += time.perf_counter() - started

    def measure(self, step: int, model: nn.Module) -> None:
        """A point of the path over time. Raises DivergedError where a loss is not finite."""
        assert self.evaluate is not None
        started = time.perf_counter()
        try:
            self.record.path.append({"step": step, **self.evaluate(model)})
        except NotFiniteError as error:
            raise self.diverged("training diverged, as shown on the way", step, error) from None
        self.record.path_seconds += time.perf_counter() - started

    def state(self) -> dict[str, Any]:
        self.note_time()
        return {
            "identity": self.identity,
            "curve": self.record.curve,
            "ledger": self.controller.ledger,
            "losses": self.losses,
            "seconds": self.record.seconds,
            "probe_seconds": self.record.probe_seconds,
            "path": self.record.path,
            "path_seconds": self.record.path_seconds,
        }

    def restore(self, found: tuple[Path, dict[str, Any]] | None) -> str | None:
        """Take over the state of a checkpoint; returns its folder for the Trainer."""
        if found is None:
            return None
        folder, state = found
        self.record.curve, self.controller.ledger = state["curve"], state["ledger"]
        self.losses = state["losses"]
        self.record.seconds = self.seconds_before = state["seconds"]
        self.record.probe_seconds, self.record.path_seconds = state["probe_seconds"], state["path_seconds"]
        self.record.path = state["path"]
        self.apart_before = self.record.probe_seconds + self.record.path_seconds
        self.record.resumed_from = self.done_before = checkpoints.step_of(folder)
        return str(folder)


class _Follow(TrainerCallback):
    """Ties the run to the Trainer's events. A refresh comes before the checkpoint of the same step."""

    def __init__(self, run: _Run) -> None:
        self.run = run

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        # a resumed run has its rates from the checkpoint's optimizer and scheduler, and its ledger is not empty
        self.run.controller.start(kwargs["lr_scheduler"], kwargs["optimizer"])
        self.run.begin()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        step = state.global_step
        # DeepSpeed skips it in silence, where others carry on to a loss of nan
        if kwargs["optimizer"].step_was_skipped:
            raise self.run.diverged("a gradient is not finite", step)
        self.run.end_step(step)
        if self.run.controller.due(step) and step < self.run.record.steps:
            self.run.refresh(step, kwargs["model"], kwargs["lr_scheduler"], kwargs["optimizer"])
        every = self.run.training.evaluate_every
        if self.run.evaluate is not None and every and step % every == 0 and step < self.run.record.steps:
            self.run.measure(step, kwargs["model"])

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        checkpoints.complete(Path(args.output_dir) / f"checkpoint-{state.global_step}", self.run.state())

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step != self.run.record.steps:
            raise RuntimeError(f"training ended at step {state.global_step} of {self.run.record.steps}")
        self.run.note_time()


class _UnitTrainer(Trainer):
    """The Trainer with our optimizer groups and schedule, saving only what trains, and silent."""

    def __init__(self, run: _Run, model: nn.Module, dataset: Any, arguments: TrainingArguments) -> None:
        self.run, self.trained = run, model
        super().__init__(model=model, args=arguments, train_dataset=dataset, callbacks=[_Follow(run)])
        self.remove_callback(PrinterCallback)
        if run.training.gradient_checkpointing:
            enable_checkpointing(model)

    def create_accelerator_and_postprocess(self) -> None:
        super().create_accelerator_and_postprocess()
        strategy = self.run.strategy
        if strategy == FSDP2:
            shard_with(self.accelerator)
            self.is_fsdp_enabled = True
        elif strategy in ZERO:
            zero_with(self.accelerator, ZERO[strategy], self.args, bf16=self.run.training.precision == "bf16")

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            controller = self.run.controller
            self.optimizer = make_optimizer(controller.groups(), self.run.training, controller.learning_rate)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> LambdaLR:
        if self.lr_scheduler is None:
            self.lr_scheduler = LambdaLR(optimizer or self.create_optimizer(), self.run.factor)
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        with self.run.in_blocks():
            return super().compute_loss(model, self.run.told(inputs), *args, **kwargs)

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        loss = super().training_step(*args, **kwargs)
        self.run.add_loss(loss.detach())
        return loss

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        folder = Path(output_dir or str(self.args.output_dir))
        checkpoints.make_room(folder.parent)
        checkpoints.save_trainable(self.trained, folder)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if self.run.strategy in (ONE, DDP):
            super()._save_optimizer_and_scheduler(output_dir)
            return
        assert self.optimizer is not None
        assert self.lr_scheduler is not None
        checkpoints.save_optimizer(self.optimizer, Path(output_dir))
        if self.args.should_save:
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir) / SCHEDULER)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        with loading(Path(checkpoint)):
            if self.run.strategy in (ONE, DDP):
                super()._load_optimizer_and_scheduler(checkpoint)
                return
            assert self.optimizer is not None
            assert self.lr_scheduler is not None
            checkpoints.load_optimizer(self.optimizer, Path(checkpoint))
            self.lr_scheduler.load_state_dict(torch.load(Path(checkpoint) / SCHEDULER, weights_only=True))

    def _load_rng_state(self, checkpoint: str | None) -> None:
        with loading(Path(checkpoint or ".")):
            super()._load_rng_state(checkpoint)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        with loading(Path(resume_from_checkpoint)):
            checkpoints.load_trainable(model or self.trained, Path(resume_from_checkpoint))


def enable_checkpointing(model: Any) -> None:
    """Compute activations again in the backward pass, without losing what frozen layers save.

    transformers makes the embedding's output require gradients, which only torch's older, reentrant variant needs: the
    backward pass would go through, and compute again, the frozen layers below the lowest that trains.
    """
    options = {"use_reentrant": False}
    if hasattr(model, "activation_checkpointing_enable"):  # transformers from 5.2x
        model.activation_checkpointing_enable(activation_checkpointing_kwargs=options)
    else:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=options)
    model.disable_input_require_grads()
