"""`adept-bench` and `python -m adept_bench`: run a command; an error a user can act on is one line and exit code 2."""

from __future__ import annotations

import sys
import time
import traceback

import typer

from adept_bench.distributed.failures import leave
from adept_bench.distributed.group import group, launched, stop
from adept_bench.errors import InputError
from adept_bench.escapes import terminal
from adept_bench.shortage import OutOfMemory

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130  # 130: 128 + SIGINT, as shells have it


def main(arguments: list[str] | None = None) -> int:
    """Run the command line in `arguments` (default: the process's) and return its exit code.

    A process of several that a launcher started and that ends with an error ends at once (`distributed.failures`).
    """
    try:
        code = _run(arguments)
    except (typer.Abort, KeyboardInterrupt):  # versions of typer differ in what they make of a Ctrl-C
        code = _interrupted()
    except Exception as error:
        code = _explain(error)
    if group().size > 1:
        if code:
            leave(code)
        stop()
    return code


def _run(arguments: list[str] | None) -> int:
    # imported here, so that a Ctrl-C during the import is met too
    from adept_bench.cli import app
    from adept_bench.cli.options import state

    state.quiet = state.debug = False
    code = typer.main.get_command(app).main(arguments, prog_name="adept-bench", standalone_mode=False)
    if code == INTERRUPTED:
        return _interrupted()
    return code if isinstance(code, int) else 0


def _interrupted() -> int:
    print("interrupted; what is finished is kept, and the same command goes on from there", file=sys.stderr)
    return INTERRUPTED


def _explain(error: Exception) -> int:
    """Print the error on stderr, with its traceback where --debug asks for it, and return the exit code."""
    from adept_bench.cli.options import state

    if state.debug:
        print(terminal("".join(traceback.format_exception(error))), end="", file=sys.stderr)
    if isinstance(error, InputError):
        line, code = str(error), BAD_INPUT
    elif hasattr(error, "format_message"):
        # typer's usage errors: their class moved between versions of typer, this method did not
        message = " ".join(str(error.format_message()).split()).replace("Value error, ", "")
        where = getattr(getattr(error, "ctx", None), "command_path", "adept-bench")
        line, code = f"{where}: {message}" if message else "", BAD_INPUT  # empty: the help was printed instead
    elif isinstance(error, OutOfMemory):
        line, code = f"adept-bench: {error}", FAILED
    else:
        hint = "" if state.debug else "; --debug shows where"
        line, code = f"adept-bench: unexpected {type(error).__name__}: {error}{hint}", FAILED
    if launched().rank:
        time.sleep(1)  # the first process to end takes the others along, and the main one has more to say
        line = "" if getattr(error, "told", False) else f"[process {launched().rank}] {line}"
    if line:
        print(terminal(line), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
