"""The sources of a run's corpora, with what is to be done to them before they are read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from adept_bench.corpora.identity import known_file_hash
from adept_bench.errors import InputError

if TYPE_CHECKING:
    from adept_bench.config.schema import CorpusPart, DataConfig, RunConfig
    from adept_bench.corpora.overlap import ItemNgrams
    from adept_bench.corpora.sources import Source

LAB = "lab:"
READ_AT_LEAST = 4_000_000  # bytes: so that there are documents to hold out in a trial with few tokens, too


def corpus_identity(corpus: str | dict[str, str] | list[CorpusPart] | None) -> str | None:
    """What a corpus is known by before it is read: the hash of a lab corpus or of a file; of a dataset of the Hub its
    id as given and the commit that it stands for, so that results of two commits are never taken for one."""
    if corpus is None:
        return None
    if isinstance(corpus, dict):
        return "; ".join(f"{name}: {corpus_identity(source)}" for name, source in corpus.items())
    if isinstance(corpus, list):
        return "; ".join(f"{part.share:g} * {corpus_identity(part.source)}" for part in corpus)
    if corpus.startswith(LAB):
        from adept_bench.lab.bases import corpus_hash

        return f"{corpus}@{corpus_hash(corpus.removeprefix(LAB))}"
    if corpus.startswith("set:"):
        from adept_bench.corpora.sets.source import find_part

        return find_part(corpus, "--set data").identity()
    if corpus.startswith("zip://"):
        from adept_bench.corpora.hub import find_archive

        archive = find_archive(corpus, "--set data")
        if not archive.remote:
            return archive.identity()
        return _at_commit(corpus, archive.parts["dataset"], archive.parts["revision"])
    path = Path(corpus).expanduser()
    column = ""
    if not path.is_file() and "#" in corpus:
        head, _, column = corpus.rpartition("#")
        path = Path(head).expanduser()
    if not path.is_file():
        return _hub_identity(corpus)
    return f"file:{known_file_hash(path)[:16]}" + (f"#{column}" if column else "")


def _hub_identity(corpus: str) -> str:
    from adept_bench.corpora.formats import ending
    from adept_bench.corpora.hub import HUB_ID

    name = corpus.partition("#")[0]
    parts = HUB_ID.fullmatch(name)
    if parts is None or ending(Path(name)):  # benchmarks' items, or a file that is not there, which reading says
        return corpus
    return _at_commit(corpus, f"{parts['owner']}/{parts['name']}", parts["revision"])


def _at_commit(corpus: str, dataset: str, revision: str | None) -> str:
    from adept_bench.corpora.commits import commit_of

    commit = commit_of(dataset, revision, "--set data").hash
    return corpus if commit in (None, revision) else f"{corpus} at {commit}"


def data_identity(data: DataConfig) -> dict[str, str | None]:
    """The identity of each corpus of a run."""
    sources = ("domain", "general", "probe", "domain_heldout", "general_heldout")
    found = {name: corpus_identity(getattr(data, name)) for name in sources}
    return found | {f"measured.{name}": corpus_identity(what.source) for name, what in data.measured.items()}


def source_of(config: RunConfig, name: str) -> Source:
    """The source of the corpus `name`: domain and general as `Preparation` says, probe as it is.

    Raises InputError for what is not there, and for test items that cannot be had.
    """
    from adept_bench.corpora.prepared import Part, PreparedSource

    data, option = config.data, f"data.{name}"
    corpus: str | list[CorpusPart] = getattr(data, name)
    shares = [(corpus, 1.0)] if isinstance(corpus, str) else [(part.source, part.share) for part in corpus]
    parts = tuple(Part(_found(source, option, config), share) for source, share in shares)
    title = corpus if isinstance(corpus, str) else f"{option} ({' + '.join(source for source, _ in shares)})"
    trained_on = name != "probe"
    rate = {"domain": data.bytes_per_token, "general": data.general_bytes_per_token}.get(name)
    prepared = PreparedSource(
        title,
        parts,
        items=_items(config) if trained_on and data.decontaminate else None,
        deduplicate=trained_on and data.deduplicate,
        limit=max(round(config.training.tokens * rate), READ_AT_LEAST) if rate else None,
    )
    plain = isinstance(corpus, str) and not (prepared.items or prepared.deduplicate or prepared.limit)
    return parts[0].source if plain else prepared


def task_data(config: RunConfig, names: Iterable[str]) -> dict[str, str]:
    """The local copies of the data of tasks `names`: those of `tasks.data`, else those in the folder of copies."""
    from adept_bench.corpora.copies import copies_of_tasks

    names = list(names)
    return copies_of_tasks(names) | {name: place for name, place in config.tasks.data.items() if name in names}


def _found(source: str, option: str, config: RunConfig) -> Source:
    from adept_bench.corpora.sources import TasksSource, find_source

    found = find_source(source, option=option)
    if isinstance(found, TasksSource):
        return replace(found, data=tuple(task_data(config, found.tasks).items()))
    return found


def _items(config: RunConfig) -> ItemNgrams:
    groups = [*config.tasks.groups.values(), *config.tasks.validation.values()]
    tasks = tuple(dict.fromkeys(task for names in groups for task in names))
    n = config.data.decontaminate
    if not tasks or n is None:
        raise InputError(
            f"data.decontaminate: {n}, and no tasks whose items to look for; expected tasks.groups, or null"
        )
    return _ngrams(tasks, n, tuple(task_data(config, tasks).items()))


@lru_cache(maxsize=1)  # domain and general text are looked through for the same items
def _ngrams(tasks: tuple[str, ...], n: int, data: tuple[tuple[str, str], ...]) -> ItemNgrams:
    from adept_bench.corpora.overlap import ItemNgrams
    from adept_bench.evaluation.items import evaluated_texts

    return ItemNgrams(evaluated_texts(tasks, data=dict(data)), n)
