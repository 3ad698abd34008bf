"""What the Hugging Face Hub's answers mean for a user, in one line; and what counts as no answer."""

from __future__ import annotations

# the client's library for HTTP is not the same in all its versions, and has errors of its own by these names
SILENT = {"ConnectError", "ConnectTimeout", "ReadTimeout", "NewConnectionError", "MaxRetryError"}
BROKEN = {"RemoteProtocolError", "ReadError", "ProtocolError", "IncompleteRead", "ChunkedEncodingError"}
SHORT = 60  # characters of a first line that rarely says enough alone


def refused(error: BaseException) -> bool:
    """Whether the Hub answered, and its answer was no: an unknown or gated repository, an unknown revision or file.

    All else (no network, offline mode, a timeout, a server in trouble) says nothing of what there is.
    """
    from huggingface_hub import errors

    answers = (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.RemoteEntryNotFoundError)
    return any(isinstance(each, (*answers, errors.HFValidationError)) for each in _chain(error))


def reason(error: BaseException) -> str:
    """Why something could not be had of the Hub: in our words where the Hub's client says it by its class.

    Elsewhere the first line of the message, with the second behind a short one.
    """
    from huggingface_hub import errors

    chain = list(_chain(error))
    words = {  # a gated repository's error is one of a missing one, too: first come first served
        errors.GatedRepoError: "it is gated: accept its conditions on its page, then `hf auth login`",
        errors.RepositoryNotFoundError: "no such repository there, or a private one (`hf auth login`)",
        errors.RevisionNotFoundError: "the repository has no such revision (branch, tag or commit)",
        errors.RemoteEntryNotFoundError: "the repository has no such file at this revision",
    }
    for kind, said in words.items():
        if any(isinstance(each, kind) for each in chain):
            return said
    if any(_no_connection(each) for each in chain):
        return f"{_silence()}, and the cache does not have it"
    if any(type(each).__name__ in BROKEN for each in chain):
        return "the connection broke off while it was fetched; the same command goes on from there"
    if type(error) is FileNotFoundError:  # of a file system of fsspec, whose message is the path alone
        return f"no such file: {error}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines[: 2 if len(lines[0]) < SHORT or lines[0].endswith(":") else 1])


def unanswered() -> str:
    """For a line of the log: that the Hub was asked in vain, and how to spare that."""
    return _silence() + ("" if _offline() else " (HF_HUB_OFFLINE=1 spares asking)")


def _silence() -> str:
    return "the Hub is not asked (offline mode)" if _offline() else f"{_endpoint()} does not answer"


def _offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def _endpoint() -> str:
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def _no_connection(error: BaseException) -> bool:
    # offline mode's error is a ConnectionError
    return isinstance(error, ConnectionError) or type(error).__name__ in SILENT


def _chain(error: BaseException | None) -> list[BaseException]:
    """The error and those that it came of."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
