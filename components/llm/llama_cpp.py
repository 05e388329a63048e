"""llama.cpp in this process (xllamacpp): a GGUF model, with or without a LoRA adapter, that nobody else can reach.

llama.cpp's binding always starts its HTTP server. Here that listens on no port: on a Unix socket in a private folder,
removed before the first question, so nobody can reach it, from this machine or another.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from components.errors import TerminalError
from components.llm.llama_adapter import check_adapter
from components.llm.machine import share_processors, usable_cpus

__all__ = ["PIECE_TOKENS", "start_llama"]

# A call can be ended between two pieces of the prompt: smaller ones end it sooner and are hardly slower.
PIECE_TOKENS = 128


def start_llama(path: Path, *, context: int, adapter: Path | None = None) -> Any:
    """The model of a GGUF file as an `xllamacpp.Server`; its memory goes when the last reference to it does.

    Args:
        path: of the model.
        context: tokens of prompt and answer together.
        adapter: a LoRA adapter as GGUF, applied at its own scale.

    Raises:
        TerminalError: llama.cpp cannot load it, or the adapter is of another model.
    """
    if adapter:
        check_adapter(adapter, model=path)
    share_processors()
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    if adapter:
        params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(adapter), 1.0)]
    params.n_ctx = context
    params.n_parallel = 1
    params.n_batch = params.n_ubatch = PIECE_TOKENS
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = min(8, usable_cpus())
    params.n_threads_http = 1
    params.cache_ram_mib = params.n_ctx_checkpoints = 0
    params.warmup = params.ui = False
    params.verbosity = -1
    # A Unix socket's path may have 107 bytes; some systems' temporary folders leave no room for ours.
    folder = tempfile.mkdtemp(prefix="llm", dir=None if len(tempfile.gettempdir()) < 80 else "/tmp")  # noqa: S108
    params.hostnames = [f"{folder}/s.sock"]
    try:
        return xllamacpp.Server(params)
    except Exception as error:
        what = f"{path.name} with the adapter {adapter.name}" if adapter else path.name
        raise TerminalError(f"llama.cpp could not load {what}: {error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
