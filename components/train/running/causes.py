"""Why a trainer failed, out of what it printed, in words that say what to do."""

from __future__ import annotations

import re
from pathlib import Path

from components.train.params import TrainParams

__all__ = ["ENDED", "STARTED", "cause"]

STARTED = "--- cervella: training starts or goes on, "
"""Begins a line in trainer.log at the start of each sitting."""
ENDED = "--- cervella: the trainer ended with exit code "
_MOST = 4_000_000  # bytes of a log's end
_TRACE = "Traceback (most recent call last):"
_RANK = re.compile(r"^\[rank\d+\]:\s?", re.MULTILINE)
_EXCEPTION = re.compile(r"^(?:[A-Za-z_][\w.]*\.)?[A-Z]\w*(?::|$)")


def cause(log: Path, params: TrainParams) -> str:
    """Why the last sitting failed: what is known about it and how to mend it, else the last exception as it is."""
    text = _last_sitting(log)
    last = _exception(text)
    code = _exit_code(text)
    for pattern, meaning in _KNOWN:
        # Without an exception a library may have ended the process itself, after saying why.
        if re.search(pattern, last or text[-3000:]):
            return f"{meaning(params)}. The trainer said: {_short(last or _last_line(text))}"
    if last:
        return f"it ended with {_short(last)}"
    if code in (-9, 137):
        return (
            "it was killed from outside, most often because the machine's memory was full: close other programs, or "
            f"lower train.max_tokens ({params.max_tokens}) or train.batch_size ({params.batch_size})"
        )
    if code in (-15, 143, -2, 130):
        return "it was stopped from outside; run the recipe again to go on from its last checkpoint"
    said = f"; the last line that it printed: {_short(line)}" if (line := _last_line(text)) else ""
    return (f"it ended with exit code {code}" if code is not None else "it ended without saying why") + said


def _memory(params: TrainParams) -> str:
    ways = [f"lower train.max_tokens (now {params.max_tokens}; no example may be longer)"]
    if params.batch_size > 1:
        ways.append(
            f"set train.batch_size to 1 and train.accumulation to {params.accumulation * params.batch_size} (the same "
            "training, slower)"
        )
    if not params.gradient_checkpointing:
        ways.append("set train.gradient_checkpointing: true")
    if params.base.quantization == "none":
        ways.append("set train.base.quantization: nf4")
    return f"the GPU's memory is too small: {', or '.join(ways)}"


def _base(params: TrainParams) -> str:
    name = params.base.model or params.base.folder
    return (
        f"the base model {name} could not be loaded: it is neither in the local cache nor found on the hub. Check the "
        "spelling of train.base.model and train.base.revision, and that this machine is online (HF_HUB_OFFLINE is not "
        "set); or name a folder with it in train.base.folder"
    )


def _closed(params: TrainParams) -> str:
    return (
        f"the hub does not give {params.base.model} to everybody: accept its licence on its page, and set HF_TOKEN to "
        "a token of yours"
    )


_KNOWN = (
    (r"CUDA out of memory|OutOfMemoryError|CUBLAS_STATUS_ALLOC_FAILED", _memory),
    (r"(?i)no space left on device|disk quota exceeded", lambda _: "the disk is full: free some space, then run again"),
    (r"(?i)gated repo|GatedRepoError|401 Client Error|403 Client Error", _closed),
    (
        r"(?i)LocalEntryNotFoundError|OfflineModeIsEnabled|RepositoryNotFoundError|RevisionNotFoundError|"
        r"is not a valid model identifier|We couldn't connect to|Can't load the (model|configuration|tokenizer)|"
        r"Failed to load tokenizer|"
        r"Incorrect path_or_model_id|does not appear to have a file named|Repo id must",
        _base,
    ),
    (
        r"(?i)sequence(s)? .{0,40}(too long|longer than|exceed)|Found sequence with .{0,40} tokens",
        lambda params: f"an example is longer than train.max_tokens ({params.max_tokens}): raise it, or shorten it",
    ),
    (
        r"(?i)Torch not compiled with CUDA|no kernel image is available|CUDA driver version|NVIDIA driver",
        lambda _: "the GPU cannot be used by the installed torch: `cervella doctor` tells what is here",
    ),
    (
        r"(?i)DefaultCPUAllocator: can't allocate memory|^MemoryError",
        lambda params: f"the machine's memory is too small: lower train.max_tokens (now {params.max_tokens})",
    ),
)


def _last_sitting(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _MOST))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    return _RANK.sub("", text.rpartition(STARTED)[2])


def _exit_code(text: str) -> int | None:
    found = re.search(re.escape(ENDED) + r"(-?\d+)", text)
    return int(found[1]) if found else None


def _exception(text: str) -> str:
    """The last exception with its message, of several lines where it has them."""
    trace = text.rpartition(_TRACE)[2] if _TRACE in text else ""
    lines = trace.splitlines()
    for number, line in enumerate(lines):
        if _EXCEPTION.match(line):
            kept = [line]
            for more in lines[number + 1 :]:
                if not more.strip() or more.startswith(("[", "---")) or len(kept) > 5:
                    break
                kept.append(more.strip())
            return " ".join(kept)
    return ""


def _last_line(text: str) -> str:
    lines = (line.strip() for line in re.split(r"[\r\n]+", text.partition("\n")[2]))
    return next((line for line in reversed(list(lines)) if line and not line.startswith("---")), "")


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 400 else text[:400] + "..."
