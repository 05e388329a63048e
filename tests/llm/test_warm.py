"""What the first call of a model elsewhere would wait for can be loaded before it, and nothing is sent for that."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.llm import load_chat

CHILD = """
import json, os, sys
from components.llm import load_chat
chat = load_chat(
    model=sys.argv[1], api_base=sys.argv[2], api_key_env="KEY_OF_LATER", temperature=0, max_tokens=9,
    context_tokens=999, timeout_seconds=60, retries=0, seed=1,
)
assert "litellm" not in sys.modules
chat.warm()
print("warm", flush=True)
os.environ["KEY_OF_LATER"] = sys.stdin.readline().strip()
before = set(sys.modules)
said = chat.chat([{"role": "user", "content": "Ciao?"}], local_notes=()).text
print(json.dumps({"said": said, "new": sorted(set(sys.modules) - before)}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "hosted_vllm/small"])
def test_a_warm_model_loads_nothing_at_its_first_call_and_has_sent_nothing_before(
    root: Path, openai: Any, key: str, model: str
) -> None:
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", CHILD, model, openai.url], cwd=root, text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:  # fmt: skip
        assert child.stdin is not None and child.stdout is not None
        assert child.stdout.readline() == "warm\n" and openai.requests == []
        told = json.loads(child.communicate(f"{key}\n", timeout=300)[0])
    assert told["said"] == "answer 1" and len(openai.requests) == 1
    loaded = [name for name in told["new"] if name.startswith(("litellm", "openai"))]
    assert len(loaded) <= 5, loaded  # without it: hundreds


@pytest.mark.filterwarnings("ignore::DeprecationWarning:litellm.*")
@pytest.mark.parametrize("model", ["fake/chat", "no-such-provider/model"])
def test_what_needs_nothing_or_is_of_no_provider_is_no_error(model: str) -> None:
    chat = load_chat(
        model=model, temperature=0, max_tokens=9, context_tokens=999, timeout_seconds=5, retries=0, seed=1
    )  # fmt: skip
    chat.warm()
