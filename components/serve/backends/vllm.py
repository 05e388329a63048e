"""vLLM as a server of ours: its command, its environment, and what is asked of it besides questions.

The key goes through the environment, never through a command line, which any user of the machine can read. vLLM guards
`/v1` with it. Adapters are loaded while it is up: the calls for that are behind the key as well.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from components.errors import TerminalError, TransientError
from components.serve.backends.weights import Adapter, Base
from components.serve.params import VllmParams
from components.train.environments.find import Environment
from components.train.environments.variables import needed

__all__ = ["BASE_NAME", "Door", "command", "environment", "lora_rank"]

BASE_NAME = "base"
_MODULE = "vllm.entrypoints.openai.api_server"  # its own command fails: "No package metadata was found for vllm"
_RANKS = (16, 32, 64, 128, 256, 320, 512)
_AT_ONCE = 2  # adapters in use: while one takes over from another, and while two are compared
_ASK_SECONDS = 5.0
_LOAD_SECONDS = 120.0


def lora_rank(adapter: Adapter | None) -> int:
    """The greatest rank that a server must be started with to take this adapter; servers differ by it.

    Raises:
        TerminalError: vLLM takes none of that rank.
    """
    rank = adapter.rank if adapter else 1
    found = next((known for known in _RANKS if known >= rank), None)
    if found is None:
        raise TerminalError(f"vLLM takes adapters of rank {_RANKS[-1]} at most, this one has {rank}")
    return found


def command(base: Base, *, python: Path, port: int, context: int, rank: int, params: VllmParams) -> list[str]:
    """What starts it. `context`: tokens of prompt and answer; `rank`: see `lora_rank`."""
    words = [
        str(python), "-m", _MODULE, "--model", base.model, "--served-model-name", BASE_NAME, "--host", "127.0.0.1",
        "--port", str(port), "--dtype", params.dtype, "--enforce-eager", "--max-model-len", str(context),
        "--enable-lora", "--max-lora-rank", str(rank), "--max-loras", str(_AT_ONCE), "--disable-uvicorn-access-log",
    ]  # fmt: skip
    if base.revision:
        words += ["--revision", base.revision, "--tokenizer-revision", base.revision]
    return words


def environment(
    found: Environment, *, base: Base, key: str, temporary: Path, params: VllmParams
) -> dict[str, str]:  # fmt: skip
    """Variables that it gets: of ours those it may need, no telemetry, its own caches in `temporary`."""
    handed = needed(hub=not base.here)  # of secrets the names are the user's to choose, such as `serve.keys_env`
    handed["PATH"] = f"{found.python.parent}{os.pathsep}{handed.get('PATH', os.defpath)}"
    if base.here:
        handed |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    return handed | {
        "VLLM_API_KEY": key,
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
        "VLLM_CPU_KVCACHE_SPACE": str(params.cache_gigabytes),
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_DO_NOT_TRACK": "1",
        # Its workers give themselves titles, in the place where their variables lie, and with them our mark.
        "SPT_NOENV": "1",
        "VLLM_CACHE_ROOT": str(temporary / "cache"),
        "VLLM_CONFIG_ROOT": str(temporary / "config"),
        "TMPDIR": str(temporary),
    }


class Door:
    """What is asked of a running server. `url`: http://127.0.0.1:PORT."""

    def __init__(self, url: str, *, key: str) -> None:
        self.url, self._key = url, key

    def fault(self) -> str | None:
        """Why it does not say that it is well, in words; None: it does."""
        status, told = self._ask("GET", "/health", key=False, seconds=_ASK_SECONDS)
        if status == 200:
            return None
        return str(told) if status is None else f"its /health answers {status}"

    def answers(self, *, seconds: float) -> bool:
        """Whether it answers a question of one token in time; what it answers, an error too, does not matter."""
        body = {"model": BASE_NAME, "prompt": ".", "max_tokens": 1}
        return self._ask("POST", "/v1/completions", body=body, seconds=seconds)[0] is not None

    def models(self) -> set[str]:
        """Names of the models that it serves, adapters among them. Raises TransientError: it does not tell."""
        status, told = self._ask("GET", "/v1/models", seconds=_ASK_SECONDS)
        try:
            names = {str(one["id"]) for one in told["data"]} if status == 200 else None
        except (KeyError, TypeError):
            names = None
        if names is None:
            raise TransientError(f"its /v1/models answers {status}")
        return names

    def load(self, adapter: Adapter) -> None:
        """Have it serve an adapter. Raises TerminalError: it refuses; TransientError: no answer."""
        body = {"lora_name": adapter.name, "lora_path": str(adapter.folder)}
        self._do("/v1/load_lora_adapter", body, what=f"load {adapter.name}")

    def unload(self, name: str) -> None:
        """Have it serve an adapter no more. Raises as `load`."""
        self._do("/v1/unload_lora_adapter", {"lora_name": name}, what=f"unload {name}")

    def _do(self, path: str, body: dict[str, str], *, what: str) -> None:
        status, told = self._ask("POST", path, body=body, seconds=_LOAD_SECONDS)
        if status == 200:
            return
        why = told.get("error", told) if isinstance(told, dict) else told
        why = why.get("message", why) if isinstance(why, dict) else why
        if status is None or status in (429, 502, 503):
            raise TransientError(f"vLLM could not {what}: {why}")
        raise TerminalError(f"vLLM refuses to {what} ({status}): {str(why)[:500]}")

    def _ask(
        self, method: str, path: str, *, seconds: float, body: dict[str, Any] | None = None, key: bool = True
    ) -> tuple[int | None, Any]:
        """Status and what was told; None and why where nobody answers."""
        import httpx

        headers = {"Authorization": f"Bearer {self._key}"} if key else {}
        try:
            with httpx.Client(trust_env=False, timeout=seconds) as client:
                answer = client.request(method, f"{self.url}{path}", json=body, headers=headers)
        except httpx.HTTPError as error:
            return None, f"it does not answer ({type(error).__name__})"
        try:
            return answer.status_code, answer.json()
        except ValueError:
            return answer.status_code, answer.text[:500]
