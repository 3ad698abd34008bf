"""A figures folder holds files of others too: what is replaced and removed, and what never is."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from adept_bench.errors import InputError
from adept_bench.figures import manifest
from adept_bench.figures.export import Exported

SOURCES = {"lab/medical/x-seed0.json": "h"}


def picture(path: Path, words: str) -> bytes:
    about = PngInfo()
    about.add_text("Description", words)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (2, 2)).save(path, pnginfo=about)
    return path.read_bytes()


def made(name: str = "a", place: str = "lab/medical", mark: bytes = b"1") -> Exported:
    files = {f"{name}.png": b"png" + mark, f"{name}.csv": b"csv" + mark}
    return Exported(name, place, "A", "ours", "the caption", [], SOURCES, files, "3")


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write(path: Path, figures: dict[str, list[str] | dict[str, str]], **more: object) -> None:
    entries = {key: {"files": files, "sources": SOURCES, "caption": "the caption"} for key, files in figures.items()}
    path.mkdir(parents=True, exist_ok=True)
    (path / "manifest.json").write_text(json.dumps({"figures": entries, "missing": {}, **more}), encoding="utf-8")


FOREIGN = {
    "above": {"lab/medical/b": ["../../precious.txt"]},
    "above, as a figure": {"../..": ["...csv"]},
    "above by its key": {"../precious/precious": ["precious.txt"]},
    "an absolute name": {"//precious": ["/precious.txt"]},
    "git": {".git/config": ["config"]},
    "another kind": {"lab/medical/thesis": ["thesis.html"]},
    "another name": {"lab/medical/b": ["thesis.csv"]},
    "with hashes": {"lab/medical/b": {"../../precious.txt": "0"}},
}


@pytest.mark.parametrize("case", FOREIGN)
@pytest.mark.parametrize("force", [False, True])
def test_a_foreign_manifest_removes_nothing(case: str, force: bool, tmp_path: Path) -> None:
    out = tmp_path / "a" / "b" / "out"
    write(out, FOREIGN[case])
    for name in ("a/precious.txt", "a/b/precious.txt", "a/b/out/.git/config", "a/b/out/lab/medical/thesis.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("all of it")
    before = tree(tmp_path)
    if not force:
        with pytest.raises(InputError, match=r"^--output: .*manifest\.json names .*--force") as raised:
            manifest.update(out, [made()], {}, True)
        assert "\n" not in str(raised.value)
        assert tree(tmp_path) == before
        return
    assert manifest.update(out, [made()], {}, True, force=True)[1] == []
    before.pop("a/b/out/manifest.json")
    assert before.items() <= tree(tmp_path).items()
    assert manifest.update(out, [made(mark=b"2")], {}, True)[0]  # from here on it is ours


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"figures": {"a": 3}, "missing": {}}', "\x00", "[" * 100_000, '{"name": "an extension"}']
)
def test_another_json_file_of_that_name_is_kept(text: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(InputError, match="is none of figures"):
        manifest.update(tmp_path, [made()], {}, False)
    assert tree(tmp_path) == {"manifest.json": text.encode()}
    manifest.update(tmp_path, [made()], {}, False, force=True)
    assert list(json.loads((tmp_path / "manifest.json").read_text())["figures"]) == ["lab/medical/a"]


def test_a_picture_of_the_users_own_is_kept(tmp_path: Path) -> None:
    mine = tmp_path / "lab" / "medical" / "b.png"
    picture(mine, "my cat")
    before = tree(tmp_path)
    with pytest.raises(InputError, match=r"b\.png is there, and not as this command wrote it.*--force"):
        manifest.update(tmp_path, [made(), made("b")], {}, True)  # and nothing of `a` either
    assert tree(tmp_path) == before
    manifest.update(tmp_path, [made(), made("b")], {}, True, force=True)
    assert mine.read_bytes() == b"png1"


@pytest.mark.parametrize("removed", [False, True])
def test_a_figure_that_was_changed_by_hand_is_kept(removed: bool, tmp_path: Path) -> None:
    manifest.update(tmp_path, [made(), made("b")], {}, True)
    picture(tmp_path / "lab" / "medical" / "b.png", "Made by adept-bench from: x, with arrows of mine")
    before = tree(tmp_path)
    again = [made(mark=b"2")] if removed else [made(mark=b"2"), made("b", mark=b"2")]
    with pytest.raises(InputError, match=r"b\.png is there"):
        manifest.update(tmp_path, again, {}, True)
    assert tree(tmp_path) == before
    manifest.update(tmp_path, again, {}, True, force=True)
    assert (tmp_path / "lab" / "medical" / "b.png").exists() != removed


def test_what_says_that_we_made_it_and_what_is_the_same_need_no_manifest(tmp_path: Path) -> None:
    folder = tmp_path / "lab" / "medical"
    picture(folder / "a.png", "A caption. Made by adept-bench from: lab/medical/x-seed0.json")
    (folder / "a.csv").write_bytes(b"csv1")
    written, _ = manifest.update(tmp_path, [made()], {}, True)
    assert sorted(written) == ["lab/medical/a.png", "manifest.json"]


def test_a_manifest_without_hashes_is_gone_on_from(tmp_path: Path) -> None:
    """An older version's: of a figure whose picture is ours all is; of another nothing is touched."""
    folder = tmp_path / "lab" / "medical"
    for name in ("a", "b", "mine"):
        picture(folder / f"{name}.png", "my cat" if name == "mine" else "the caption and more")
        (folder / f"{name}.csv").write_text("old")
    write(tmp_path, {f"lab/medical/{name}": [f"{name}.csv", f"{name}.png"] for name in ("a", "b", "mine")})
    written, removed = manifest.update(tmp_path, [made()], {}, True)
    assert set(written) == {"lab/medical/a.csv", "lab/medical/a.png", "manifest.json"}
    assert set(removed) == {"lab/medical/b.csv", "lab/medical/b.png"}
    assert {path.name for path in folder.iterdir()} == {"a.csv", "a.png", "mine.csv", "mine.png"}
    with pytest.raises(InputError, match=r"mine\.(csv|png) is there"):
        manifest.update(tmp_path, [made("mine")], {}, False)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
@pytest.mark.parametrize("name", ["manifest.json", "lab/medical/a.csv"])
def test_only_regular_files_are_replaced(kind: str, name: str, tmp_path: Path) -> None:
    out, precious = tmp_path / "out", tmp_path / "precious"
    precious.write_text("all of it")
    (out / name).parent.mkdir(parents=True)
    {
        "link": lambda: (out / name).symlink_to(precious),
        "pipe": lambda: os.mkfifo(out / name),
        "folder": (out / name).mkdir,
    }[kind]()
    for force in (False, True):
        with pytest.raises(InputError, match=name):  # and does not wait for the pipe's other end
            manifest.update(out, [made()], {}, True, force)
    assert precious.read_text() == "all of it"
    assert [path.name for path in out.rglob("*") if path.is_file() and not path.is_symlink()] == []


def test_a_linked_folder_does_not_lead_out(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "lab").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="leads out of"):
        manifest.update(tmp_path / "out", [made()], {}, True, force=True)
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("steps", range(5))
def test_broken_off_it_goes_on_even_from_other_results(
    steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest.update(tmp_path, [made(), made("b")], {}, True)
    left = [steps]

    def dies(path: Path, content: bytes | str) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    with monkeypatch.context() as patched:
        patched.setattr(manifest, "write_whole", dies)
        with pytest.raises(KeyboardInterrupt):
            manifest.update(tmp_path, [made(mark=b"2"), made("b", mark=b"2")], {}, True)
    manifest.update(tmp_path, [made(mark=b"3"), made("b", mark=b"3")], {}, True)
    found = tree(tmp_path)
    assert "writing" not in json.loads(found.pop("manifest.json"))
    assert set(found.values()) == {b"png3", b"csv3"}


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_there_nothing_of_the_users_changes(seed: int, tmp_path: Path) -> None:
    """Any mixture of files, a manifest of any truth: either a refusal and all as it was, or only our files changed."""
    chance = random.Random(seed)
    folder = tmp_path / "lab" / "medical"
    folder.mkdir(parents=True)
    ours = [made(name) for name in chance.sample("abcd", 2)]
    manifest.update(tmp_path, ours, {}, True)
    mine = {}
    for name in chance.sample("abcdef", 2):
        ending = chance.choice(["csv", "png", "svg", "tex", "html"])
        mine[f"lab/medical/{name}.{ending}"] = f"mine {seed}".encode()
        (folder / f"{name}.{ending}").write_bytes(mine[f"lab/medical/{name}.{ending}"])
    before = tree(tmp_path)
    try:
        manifest.update(
            tmp_path, [made(name, mark=b"2") for name in chance.sample("abcd", 2)], {}, chance.random() < 0.5
        )
    except InputError:
        assert tree(tmp_path) == before
    assert mine.items() <= tree(tmp_path).items()
