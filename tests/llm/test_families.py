"""Families of models by their names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.llm.families import family_of, same_family

NAMES = {
    "anthropic/claude-sonnet-4-5": "claude",
    "bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0": "claude",
    "bedrock/us.meta.llama3-1-8b-instruct-v1:0": "llama",
    "openrouter/anthropic/claude-3-haiku": "claude",
    "vertex_ai/claude-3-opus@20240229": "claude",
    "gpt-4o-mini": "gpt",
    "gpt-4.1": "gpt",
    "openai/gpt-5": "gpt",
    "openai/o3-mini": "gpt",
    "o1": "gpt",
    "ft:gpt-3.5-turbo-0125:org::abc": "gpt",
    "azure/chatgpt-4o-latest": "gpt",
    "ollama/gpt-oss:20b": "gpt",
    "gemini/gemini-2.5-pro": "gemini",
    "vertex_ai/gemini-1.5-flash": "gemini",
    "ollama/gemma3:4b": "gemma",
    "google/codegemma-7b": "gemma",
    "ollama/llama3.1:8b": "llama",
    "ollama_chat/tinyllama": "llama",
    "together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo": "llama",
    "mistral/mistral-large-latest": "mistral",
    "mistral/open-mixtral-8x22b": "mistral",
    "mistralai/Ministral-8B-Instruct-2410": "mistral",
    "ollama/qwen3:4b": "qwen",
    "ollama_chat/qwen2.5-coder:7b": "qwen",
    "Qwen/Qwen3-4B-Instruct-2507": "qwen",
    "hosted_vllm/Qwen3-4B": "qwen",
    "openai/qwen2.5:7b-instruct-q4_K_M": "qwen",
    "local/smollm2-135m-instruct": "smollm",
    "HuggingFaceTB/SmolLM2-1.7B-Instruct": "smollm",
    "deepseek/deepseek-chat": "deepseek",
    "ollama/deepseek-r1:8b": "deepseek",
    "ollama/phi4": "phi",
    "microsoft/Phi-3.5-mini-instruct": "phi",
    "cohere/command-r-plus": "command",
    "CohereForAI/aya-23-8B": "command",
    "xai/grok-4": "grok",
    "TheBloke/Llama-2-7B-GPTQ": "llama",
    "fake/chat?mode=judge&tpr=0.9": "fake",
}
UNKNOWN = ["", "ollama/my-own", "azure/deployment-7", "openai/cervella", "llamafile/model", "perplexity/sonar", "/"]


@pytest.mark.parametrize("model", NAMES)
def test_family_of_a_name(model: str) -> None:
    assert family_of(model) == NAMES[model]


@pytest.mark.parametrize("model", UNKNOWN)
def test_a_name_that_does_not_say_has_none(model: str) -> None:
    assert family_of(model) is None
    assert same_family(model, "ollama/qwen3:4b") is None
    assert same_family("ollama/qwen3:4b", model) is None


def test_a_provider_is_no_family() -> None:
    assert family_of("ollama/qwen3:4b") != family_of("ollama/llama3.2:3b")
    assert same_family("ollama/qwen3:4b", "ollama/llama3.2:3b") is False


def test_two_sizes_of_one_family_are_the_same() -> None:
    assert same_family("openai/gpt-4o", "gpt-5-mini") is True
    assert same_family("Qwen/Qwen3-4B", "ollama/qwen2.5:7b") is True


def test_a_distilled_model_is_of_both_families() -> None:
    distilled = "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"
    assert family_of(distilled) == "deepseek"
    assert same_family(distilled, "ollama/qwen3:4b") is True
    assert same_family(distilled, "deepseek/deepseek-chat") is True


def test_of_an_adapter_the_base_counts() -> None:
    assert family_of("openai/cervella", base="Qwen/Qwen3-4B-Instruct-2507") == "qwen"
    assert same_family("openai/cervella", "ollama/qwen3:4b", first_base="Qwen/Qwen3-4B") is True


@given(st.text(max_size=60))
def test_any_name_has_a_family_or_none(model: str) -> None:
    family = family_of(model)
    assert family is None or same_family(model, model) is True
