"""Files of datasets in the formats of the Hub, made of rows."""

import gzip
import io
import json
import random
import zipfile

import pyarrow
import pyarrow.parquet

WORDS = "liver heart blood cell drug dose trial tissue nerve gene bone skin pain fever acid salt sugar water".split()


def documents(tag: str, count: int, words: int = 40) -> list[str]:
    """Texts that are all different, each with its tag and number."""
    draw = random.Random(tag)
    return [f"{tag} {number} " + " ".join(draw.choices(WORDS, k=words)) for number in range(count)]


def rows(tag: str, count: int, words: int = 40) -> list[dict[str, str]]:
    return [{"text": text} for text in documents(tag, count, words)]


def jsonl(rows: list) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def jsonl_gz(rows: list) -> bytes:
    return gzip.compress(jsonl(rows))


def parquet(rows: list) -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    return file.getvalue()


def archive(members: dict[str, str]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in members.items():
            made.writestr(name, text)
    return file.getvalue()


def card(configs: dict[str, list[str]]) -> bytes:
    """The README.md of a dataset: configuration to its splits, whose files are CONFIG/SPLIT-*."""
    described = [
        {"config_name": name, "data_files": [{"split": split, "path": f"{name}/{split}-*"} for split in splits]}
        for name, splits in configs.items()
    ]
    return f"---\n{json.dumps({'configs': described})}\n---\n".encode()


def arc(hub) -> dict[str, list]:
    """ARC on the Hub, as allenai/ai2_arc has it (configuration, columns, names of files); its rows by split."""
    splits = {
        split: [
            {
                "id": f"{split}{number}",
                "question": f"{question}?",
                "choices": {"text": [f"{word} {number}" for word in WORDS[:4]], "label": list("ABCD")},
                "answerKey": "ABCD"[number % 4],
            }
            for number, question in enumerate(documents(split, count, 16))
        ]
        for split, count in (("train", 10), ("test", 12), ("validation", 8))
    }
    files = {f"ARC-Easy/{split}-00000-of-00001.parquet": parquet(found) for split, found in splits.items()}
    files["ARC-Challenge/train-00000-of-00001.parquet"] = parquet(splits["train"][:3])
    readme = card({"ARC-Challenge": ["train"], "ARC-Easy": list(splits)})
    hub.commit("datasets", "allenai/ai2_arc", files | {"README.md": readme})
    return splits
