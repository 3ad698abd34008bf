"""How long `adept-bench --help` takes beside a bare `import typer`, interleaved in one run.

python benchmarks/help_time.py [rounds]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

COMMANDS = {
    "import typer": [sys.executable, "-c", "import typer"],
    "adept-bench --help": [sys.executable, "-m", "adept_bench", "--help"],
    "adept-bench run --help": [sys.executable, "-m", "adept_bench", "run", "--help"],
}


def measure(rounds: int) -> dict[str, list[float]]:
    """Seconds of each command's processes; one round runs each once, after one that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(rounds + 1):
        for name, command in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            if number:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def main() -> None:
    measured = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
    bare = measured["import typer"]
    print(f"{'command':<24}{'median ms':>10}{'ratio':>8}")
    for name, seconds in measured.items():
        ratio = statistics.median(one / base for one, base in zip(seconds, bare, strict=True))
        print(f"{name:<24}{1000 * statistics.median(seconds):>10.0f}{ratio:>8.2f}")


if __name__ == "__main__":
    main()
