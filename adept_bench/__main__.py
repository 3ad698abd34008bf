"""`adept-bench` and `python -m adept_bench`: run a command; an error a user can act on is one line and exit code 2."""

from __future__ import annotations

import sys
import time
import traceback
from contextlib import suppress

import typer

from adept_bench import signals, stdout
from adept_bench.distributed.failures import KEPT, leave
from adept_bench.distributed.group import group, launched, stop
from adept_bench.errors import InputError
from adept_bench.escapes import terminal
from adept_bench.files import not_written
from adept_bench.shortage import OutOfMemory

FAILED, BAD_INPUT = 1, 2
RESUMED = ("run", "adapt")  # commands that go on where they were interrupted


def main(arguments: list[str] | None = None) -> int:
    """Run the command line in `arguments` (default: the process's) and return its exit code.

    SIGTERM ends it as Ctrl-C does, with 143 and 130. 141: whoever read stdout went away before all was written.
    A process of several that a launcher started and that ends with an error ends at once (`distributed.failures`).
    """
    with signals.caught() as received:
        code = _guarded(arguments, received)
    if group().size > 1:
        if code:
            leave(code)
        stop()
    return code


def _guarded(arguments: list[str] | None, received: signals.Received) -> int:
    try:
        with stdout.watched() as out:
            code = _answered(arguments, out)
            if code == signals.INTERRUPTED:
                code = _interrupted(received)
            unwritten = _unwritten(out)
            return code or unwritten
    except InputError as error:
        return _explain(error)


def _answered(arguments: list[str] | None, out: stdout.Watched) -> int:
    """Run the command; what it raises becomes a line and an exit code, 130 for any interruption. 0 where it raised
    because of `out`, which has an exit code of its own."""
    try:
        return _run(arguments)
    except (typer.Abort, KeyboardInterrupt):  # versions of typer differ in what they make of a Ctrl-C
        return signals.INTERRUPTED
    except SystemExit as end:  # typer's answer to any closed pipe
        if not isinstance(end.__context__, BrokenPipeError):
            raise
        return 0 if out.error else _explain(end.__context__)
    except Exception as error:
        return 0 if out.error else _explain(error)


def _unwritten(out: stdout.Watched) -> int:
    """The exit code that what was printed cannot be written to stdout, and a line that says why; 0 where it can."""
    error = out.fault()
    if error is None:
        return 0
    if stdout.is_closed_pipe(error):
        return stdout.CLOSED_PIPE
    _say(f"stdout: cannot be written: {error.strerror}")
    return BAD_INPUT


def _run(arguments: list[str] | None) -> int:
    # imported here, so that a Ctrl-C during the import is met too
    from adept_bench.cli import app
    from adept_bench.cli.options import state

    state.quiet = state.debug = False
    state.command = None
    code = typer.main.get_command(app).main(arguments, prog_name="adept-bench", standalone_mode=False)
    return code if isinstance(code, int) else 0


def _interrupted(received: signals.Received) -> int:
    """Say what was interrupted, and how to go on."""
    try:
        from adept_bench.cli.options import state

        command = state.command
    except (ImportError, KeyboardInterrupt):  # so early that the commands are not there yet
        command = None
    if command in RESUMED:
        then = KEPT
    else:
        then = "nothing is left half-written, and the same command begins again"
    _say(f"{command or 'adept-bench'}: interrupted by {received.name}; {then}")
    return received.code


def _say(line: str) -> None:
    with suppress(OSError):  # the exit code says it too
        print(terminal(line), file=sys.stderr)


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
    elif why := not_written(error):
        name = getattr(error, "filename", None)
        line, code = f"adept-bench: cannot write{f' {name}' if name else ''}: {why}", BAD_INPUT
    elif isinstance(error, OutOfMemory):
        line, code = f"adept-bench: {error}", FAILED
    else:
        hint = "" if state.debug else "; --debug shows where"
        line, code = f"adept-bench: unexpected {type(error).__name__}: {error}{hint}", FAILED
    if launched().rank:
        time.sleep(1)  # the first process to end takes the others along, and the main one has more to say
        line = "" if getattr(error, "told", False) else f"[process {launched().rank}] {line}"
    if line:
        _say(line)
    return code


if __name__ == "__main__":
    sys.exit(main())
