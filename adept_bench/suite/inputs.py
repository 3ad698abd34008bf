"""What a cell reads: the base model's place and identity, its tokenizer, and the corpora as token ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adept_bench.errors import InputError
from adept_bench.progress import reporter
from adept_bench.suite.texts import LAB, source_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from adept_bench.config.schema import ModelConfig, RunConfig
    from adept_bench.corpora.large import TrainingText
    from adept_bench.corpora.reading import Corpus
    from adept_bench.corpora.store import Documents
    from adept_bench.probing.padding import Kind


def model_place(model: ModelConfig, seed: int) -> str:
    """The folder or Hub id to load: a lab base is resolved by the seed, since each seed has a base of its own; a GGUF
    file is the folder that it is converted to. Raises InputError where it is not the one that the configuration means.
    """
    if model.source.startswith(LAB):
        from adept_bench.lab.bases import folder

        return str(folder(model.source.removeprefix(LAB), seed))
    from adept_bench.models.places import details, local_folder

    found = local_folder(model.source, sha256=model.sha256)
    return str(found) if details(found) else model.source


@dataclass(frozen=True)
class Inputs:
    """The inputs of the cells of one (configuration, seed). Everything is read when first asked for, and once."""

    config: RunConfig
    seed: int

    @cached_property
    def place(self) -> str:
        return model_place(self.config.model, self.seed)

    @cached_property
    def model_hash(self) -> str:
        from adept_bench.models.checkpoints import model_hash

        return model_hash(self.place, self.config.model.revision)

    @cached_property
    def model_details(self) -> dict[str, Any]:
        """What is recorded of the base model beside its hash: which GGUF file it was, where it was one."""
        from adept_bench.models.places import details

        return details(Path(self.place))

    @cached_property
    def tokenizer(self) -> Any:
        from adept_bench.models.checkpoints import load_tokenizer

        model = self.config.model
        return load_tokenizer(self.place, revision=model.revision, trust_remote_code=model.trust_remote_code)

    @cached_property
    def reader(self) -> Any:
        """The tokenizer that reads documents: `tokenizer`, or where `data.special_tokens` is "text", one like it to
        which special tokens that stand in a document are characters like others."""
        if self.config.data.special_tokens == "token":
            return self.tokenizer
        from adept_bench.corpora.specials import as_text

        return as_text(self.tokenizer)

    def load_base(self) -> PreTrainedModel:
        """A fresh copy of the base model in eval mode, on this process's device."""
        from adept_bench.models.checkpoints import load_model
        from adept_bench.suite.machine import device

        model = self.config.model
        return load_model(
            self.place,
            revision=model.revision,
            dtype=model.dtype,
            device=device(),
            trust_remote_code=model.trust_remote_code,
            attn_implementation=None if model.attention == "auto" else model.attention,
        )

    @cached_property
    def training_texts(self) -> dict[str, TrainingText]:
        """domain and general: what is trained on, of any size (`corpora.large`)."""
        return {name: train for name, (train, _) in self._parts.items()}

    @cached_property
    def _parts(self) -> dict[str, tuple[TrainingText, Corpus | None]]:
        """domain and general: (what is trained on, what is held out; None where that is of several corpora)."""
        from adept_bench.corpora.large import open_corpus
        from adept_bench.corpora.reading import read_corpus

        parts: dict[str, tuple[TrainingText, Corpus | None]] = {}
        for name in ("domain", "general"):
            held = getattr(self.config.data, f"{name}_heldout")
            source = source_of(self.config, name)
            whole = open_corpus(source, option=f"data.{name}", load_tokenizer=lambda: self.reader)
            if held is None:
                parts[name] = whole.split(fraction=0.075, minimum=12, maximum=300)
            else:
                rest = read_corpus(held, option=f"data.{name}_heldout") if isinstance(held, str) else None
                parts[name] = whole, rest
        return parts

    @cached_property
    def corpora(self) -> dict[str, Corpus]:
        """The documents that are measured on: domain and general, `_heldout` and `_validation`, probe, domain_probe.

        Held-out text that is not named is split off the corpus. A third of the held-out documents is for validation
        (the choice of a learning rate) and never enters a reported loss. Of general text that is held out by several
        corpora, `general/NAME_heldout` and `_validation` are each corpus's documents, and general is all of them.
        """
        data = self.config.data
        found: dict[str, Corpus] = {}
        for name, (_, rest) in self._parts.items():
            found |= self._halves(name, rest) if rest is not None else self._several()
        found["probe"] = self._probe_text.sample(data.probe_documents)
        found["domain_probe"] = self.training_texts["domain"].sample(data.probe_documents)
        return found

    def _halves(self, name: str, rest: Corpus, share: int = 1) -> dict[str, Corpus]:
        """`NAME_heldout` and `NAME_validation` of held-out text, one of `share` corpora that share the documents."""
        from adept_bench.corpora.reading import corpus_of, split_held_out, spread

        if len(set(rest.texts)) < 2:
            raise InputError(
                f"data.{name}: {rest.source}: {len(rest.texts)} documents are held out of so small a corpus; "
                f"expected two or more, which about 20 distinct documents give, or data.{name}_heldout"
            )
        most = max(self.config.data.heldout_documents // share, 1)
        held, validation = split_held_out(rest, fraction=1 / 3, minimum=1, maximum=len(rest.texts))
        return {
            f"{name}_{part}": corpus_of(rest.source, spread(corpus.texts, most))
            for part, corpus in (("heldout", held), ("validation", validation))
        }

    def _several(self) -> dict[str, Corpus]:
        """The halves of each of several general corpora, and of all of them as one."""
        from adept_bench.corpora.reading import corpus_of, read_corpus

        sources = self.config.data.general_heldout
        assert isinstance(sources, dict)
        found: dict[str, Corpus] = {}
        for name, source in sources.items():
            rest = read_corpus(source, option=f"data.general_heldout.{name}")
            found |= self._halves(f"general/{name}", rest, share=len(sources))
        for part in ("heldout", "validation"):
            texts = [text for name in sources for text in found[f"general/{name}_{part}"].texts]
            found[f"general_{part}"] = corpus_of(" + ".join(sources.values()), texts)
        return found

    @cached_property
    def measured(self) -> dict[str, Corpus]:
        """Further corpora whose loss is reported: `data.measured`, without those in a form that the tokenizer lacks."""
        from adept_bench.corpora.reading import corpus_of, read_corpus, spread
        from adept_bench.progress import reporter

        found: dict[str, Corpus] = {}
        for name, what in self.config.data.measured.items():
            if what.form == "chat" and not getattr(self.tokenizer, "chat_template", None):
                reporter().log(f"data.measured.{name}: not measured, since the tokenizer has no chat template")
                continue
            corpus = read_corpus(what.source, option=f"data.measured.{name}")
            found[name] = corpus_of(corpus.source, spread(corpus.texts, self.config.data.heldout_documents))
        return found

    @cached_property
    def _probe_text(self) -> TrainingText:
        from adept_bench.corpora.large import open_corpus

        if self.config.data.probe is None:
            return self.training_texts["general"]
        return open_corpus(source_of(self.config, "probe"), option="data.probe")

    @cached_property
    def notes(self) -> dict[str, dict[str, Any]]:
        """What is recorded of each corpus beside its hash: commits, what was left out, special tokens in the text;
        nothing of a plain file."""
        texts = dict(self.training_texts)
        if self.config.data.probe is not None:
            texts["probe"] = self._probe_text
        found = {name: dict(text.notes) for name, text in texts.items()}
        for name, account in self.special_tokens.items():
            found.setdefault(name, {})["special_tokens"] = account
        return {name: notes for name, notes in found.items() if notes}

    @cached_property
    def special_tokens(self) -> dict[str, dict[str, Any]]:
        """By corpus that is trained on or measured on: special tokens that stand in its text (`specials.literal`) and
        what they are read as. Said in the log when first asked for; none is the rule."""
        from adept_bench.corpora.specials import literal, said

        reading = self.config.data.special_tokens
        found = {name: (text.source, text.literal(self.reader)) for name, text in self.training_texts.items()}
        found |= {name: (corpus.source, literal(self.reader, corpus.texts)) for name, corpus in self.corpora.items()}
        accounts = {name: account | {"read_as": reading} for name, (_, account) in found.items() if account}
        for name, account in accounts.items():
            reporter().log(said(f"{name}, {found[name][0]}", account, reading))
        return accounts

    def probe_documents(self, corpus: str, kind: Kind) -> Sequence[Sequence[int]]:
        """Token ids of the probe documents of corpus "general" or "domain", cut to `probe.max_length`.

        `kind`: what they measure; it matters where their padding counts (`probe.padding`).
        """
        from adept_bench.corpora.tokens import tokenize_documents
        from adept_bench.probing.padding import as_released

        texts, probe = self.corpora["probe" if corpus == "general" else "domain_probe"].texts, self.config.probe
        documents = tokenize_documents(self.reader, texts, max_length=probe.max_length)
        if probe.padding == "counted":
            return as_released(documents, kind, self.tokenizer, probe.max_length)
        return documents

    def probe_hash(self, corpus: str) -> str:
        return self.corpora["probe" if corpus == "general" else "domain_probe"].hash

    def training_documents(self, corpus: str) -> Documents:
        """Token ids of all documents of corpus "general" or "domain", an end token after each."""
        return self.training_texts[corpus].tokens(self.reader)


@lru_cache(maxsize=2)
def inputs(config_json: str, seed: int) -> Inputs:
    """The inputs of a configuration (as JSON, options may be left out), shared by the cells that a process runs."""
    from adept_bench.config.schema import RunConfig

    return Inputs(RunConfig.model_validate_json(config_json), seed)
