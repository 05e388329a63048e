"""How the exported adapter is served by other programs: an Ollama Modelfile, and commands for llama-server and vLLM."""

from __future__ import annotations

import json
import shlex

__all__ = ["llama_server_command", "modelfile", "vllm_command"]


def modelfile(*, base: str, adapter: str = "adapter.gguf", stop: str = "<|im_end|>", temperature: float = 0.0) -> str:
    """An Ollama Modelfile: `ollama create NAME -f Modelfile`, in the folder of the adapter.

    The chat template is that of the base's GGUF. On another base than the one it was trained on an adapter makes noise.

    Args:
        base: path of the base's GGUF.
        adapter: path of the adapter's.
        stop: token that ends an answer.
        temperature: of the answers.
    """
    return (
        f"FROM {base}\nADAPTER {adapter}\nPARAMETER temperature {temperature:g}\n"
        f"PARAMETER stop {json.dumps(stop, ensure_ascii=False)}\n"
    )


def llama_server_command(*, base: str, adapter: str = "adapter.gguf", context: int = 4096) -> str:
    """The command that serves base and adapter on loopback, at http://127.0.0.1:8080/v1."""
    words = ["llama-server", "-m", base, "--lora", adapter, "-c", str(context), "--host", "127.0.0.1", "--jinja"]
    return shlex.join(words)


def vllm_command(*, base: str, adapter: str, name: str, rank: int) -> str:
    """The command that serves base and adapter (as it was trained, not the GGUF) by vLLM, under `name`, on loopback."""
    highest = next(known for known in (8, 16, 32, 64, 128, 256, 320, 512) if known >= rank)
    words = ["vllm", "serve", base, "--enable-lora", "--lora-modules", f"{name}={adapter}", "--max-lora-rank"]
    return shlex.join([*words, str(highest), "--host", "127.0.0.1"])
