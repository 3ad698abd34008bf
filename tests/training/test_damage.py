"""A checkpoint whose files are damaged is set aside by name, and training goes on from the one before it."""

import hashlib
import json
import shutil
import traceback
from pathlib import Path

import pytest
import torch
from builders import Tiny

from adept_bench.files import DamagedFileError
from adept_bench.training import checkpoints
from adept_bench.training.trainer import train

CHECKSUMS = ("optimizer.pt", "rng_state.pth")  # in the middle of these is something that the format has a checksum of
FILES = (*CHECKSUMS, "run_state.json", "scheduler.pt", "trainable.safetensors", "trainer_state.json")
STEPS = 6


class Killed(Exception):
    pass


class Sequences(torch.utils.data.Dataset):
    """Sequences of random tokens; reading the one at `kill_at` ends the training, as a kill would."""

    def __init__(self, kill_at=None):
        self.tokens = torch.tensor(Tiny.documents(2 * STEPS, 16))
        self.kill_at = kill_at

    def __len__(self):
        return len(self.tokens)

    def __getitem__(self, index):
        if index == self.kill_at:
            raise Killed
        return {"input_ids": self.tokens[index], "labels": self.tokens[index].clone()}


def trained(folder, kill_at=None):
    """(resumed_from, all that must be the same bits) of a model with dropout, so that generators count too."""
    model = Tiny.model(attention_dropout=0.2, num_hidden_layers=2)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("layers.1" in name)
    settings = Tiny.training(STEPS, save_every=2, log_every=3)
    record = train(model, Sequences(kill_at), training=settings, learning_rate=0.01, output_dir=folder, seed=1)
    digest = hashlib.sha256()
    for parameter in model.parameters():
        digest.update(parameter.detach().numpy().tobytes())
    return record.resumed_from, [digest.hexdigest(), record.curve, record.steps, torch.rand(2).tolist()]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    resumed_from, same = trained(tmp_path_factory.mktemp("unbroken"))
    assert resumed_from is None
    return same


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """What a training leaves that was killed in its sixth update."""
    folder = tmp_path_factory.mktemp("killed")
    with pytest.raises(Killed):
        trained(folder, kill_at=2 * STEPS - 1)
    assert names(folder) == ["checkpoint-2", "checkpoint-4"]
    assert all(names(folder / name) == sorted(FILES) for name in names(folder))
    return folder


@pytest.fixture
def copied(killed, tmp_path):
    return Path(shutil.copytree(killed, tmp_path / "copy"))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def flip(path):
    """Change one bit in the middle: the size and most of the content stay."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3]),
    "emptied": lambda path: path.write_bytes(b""),
    "list": lambda path: path.write_text("[]"),
    "object": lambda path: path.write_text("{}"),
    "garbage": lambda path: path.write_bytes(bytes(range(256)) * (path.stat().st_size // 256 + 1)),
    "flipped": flip,
    "deleted": Path.unlink,
}


def without_hashes(folder):
    """Make the checkpoint one of an earlier version, whose state says nothing of its files and has no seal."""
    state = json.loads((folder / "run_state.json").read_text())
    del state["files"], state["content_hash"]
    (folder / "run_state.json").write_text(json.dumps(state))


def check_aside(folder, file, content, lines):
    """checkpoint-4 of `folder` was set aside with its `file` as it was damaged, in one line of ours."""
    aside = folder / "checkpoint-4.damaged-1"
    assert ((aside / file).read_bytes() if (aside / file).exists() else None) == content
    (line,) = lines
    assert file.partition(".")[0] in line
    assert str(aside) in line
    assert "\n" not in line
    assert "weights_only" not in line


def damaged(folder, file, damage):
    """The bytes that the file of the newest checkpoint has after the damage."""
    path = folder / "checkpoint-4" / file
    before = path.read_bytes()
    DAMAGES[damage](path)
    content = path.read_bytes() if path.exists() else None
    assert content != before
    return content


@pytest.mark.parametrize("hashed", [True, False])
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", FILES)
def test_the_newest_whole_checkpoint_is_chosen(copied, log, file, damage, hashed):
    if not hashed:
        for name in names(copied):
            without_hashes(copied / name)
        if damage == "flipped" and file not in CHECKSUMS:
            pytest.skip("nothing in the file shows it, and an earlier version recorded no hash")
    content = damaged(copied, file, damage)
    folder, state = checkpoints.latest_whole(copied)
    assert folder == copied / "checkpoint-2"
    assert state["curve"] == []
    if (file, damage) == ("run_state.json", "deleted"):  # as of a checkpoint that was cut off, of which nothing is kept
        assert log == []
    else:
        check_aside(copied, file, content, log)


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("optimizer.pt", "deleted"),  # the Trainer itself would go on with an optimizer that knows nothing
        ("rng_state.pth", "flipped"),
        ("scheduler.pt", "garbage"),
        ("run_state.json", "list"),
        ("trainable.safetensors", "truncated"),
        ("trainer_state.json", "object"),
    ],
)
def test_training_goes_on_from_it_to_the_same_bits(copied, unbroken, log, file, damage):
    content = damaged(copied, file, damage)
    assert trained(copied) == (2, unbroken)
    check_aside(copied, file, content, log)
    assert names(copied) == ["checkpoint-4", "checkpoint-4.damaged-1", "checkpoint-6"]


def test_where_none_is_whole_training_starts_anew(copied, unbroken, log):
    for name, damage in (("checkpoint-2", "list"), ("checkpoint-4", "truncated")):
        DAMAGES[damage](copied / name / "run_state.json")
    assert trained(copied) == (None, unbroken)
    assert names(copied) == ["checkpoint-2.damaged-1", "checkpoint-4", "checkpoint-4.damaged-1", "checkpoint-6"]
    assert len(log) == 2


@pytest.mark.parametrize("damage", [None, "truncated"])
def test_a_checkpoint_of_an_earlier_version_is_gone_on_from(copied, unbroken, log, damage):
    for name in names(copied):
        without_hashes(copied / name)
    if damage:
        damaged(copied, "optimizer.pt", damage)
    assert trained(copied) == (2 if damage else 4, unbroken)
    assert len(log) == bool(damage)


def test_what_breaks_after_it_was_found_whole_is_set_aside_in_words_of_ours(killed, copied, monkeypatch, unbroken, log):
    """A file that torch cannot read though its hash holds; torch's own error advises to set weights_only to False."""
    path = copied / "checkpoint-4" / "optimizer.pt"
    whole, path_bytes = checkpoints.latest_whole(copied), path.read_bytes()
    path.write_bytes(b"[]" + path_bytes[2:])
    monkeypatch.setattr(checkpoints, "latest_whole", lambda output: whole)
    with pytest.raises(DamagedFileError) as caught:
        trained(copied)
    shown = "".join(traceback.format_exception(caught.value))
    assert "weights_only" not in f"{shown}{log}"
    assert str(copied / "checkpoint-4") in str(caught.value)
    monkeypatch.undo()
    assert trained(copied) == (2, unbroken)


def test_no_more_than_two_checkpoints_are_on_the_disk_and_one_of_them_whole(tmp_path, monkeypatch):
    seen = []

    def look(folder):
        whole = {name for name in names(folder) if (folder / name / "run_state.json").exists()}
        seen.append((len(names(folder)), len(whole)))

    write = checkpoints.save_trainable

    def watched(model, folder):
        write(model, folder)
        look(tmp_path)

    monkeypatch.setattr(checkpoints, "save_trainable", watched)
    trained(tmp_path)
    assert seen == [(1, 0), (2, 1), (2, 1)]
    assert names(tmp_path) == ["checkpoint-4", "checkpoint-6"]
