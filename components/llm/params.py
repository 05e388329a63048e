"""Section `llm` of a recipe: the models that answer, and what they may cost."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from components.params import Params

__all__ = ["NOT_SAMPLED", "BudgetParams", "ChatParams", "LlmParams"]

NOT_SAMPLED = ("timeout_seconds", "retries", "api_key_env")
"""Fields of `ChatParams` that no answer depends on."""


class ChatParams(Params):
    """One chat model: `local/...` from an installed package, or any litellm model name."""

    model: str = Field(default="local/smollm2-135m-instruct", description="local/NAME, fake/NAME or a litellm model")
    api_key_env: str | None = Field(
        default=None, pattern=r"^[A-Z_][A-Z0-9_]*$",
        description="NAME of the environment variable that holds the key; read at the call, stored nowhere",
    )  # fmt: skip
    api_base: str | None = Field(default=None, description="URL of an OpenAI-compatible endpoint (vLLM, Ollama)")
    temperature: float = Field(
        default=0.0, ge=0, le=2, description="of the sampler; above 0 answers differ and are not cached"
    )
    max_tokens: int = Field(default=256, gt=0, description="longest answer (tokens of the model)")
    context_tokens: int = Field(default=8192, gt=0, description="context window (tokens of the model)")
    timeout_seconds: float = Field(default=120.0, gt=0, description="for one call, connection included")
    retries: int = Field(default=2, ge=0, description="more tries after a transient error (time-out, 429, 5xx)")
    seed: int = Field(default=13, description="seed of the sampler, where the model has one")

    def sampled(self) -> dict[str, Any]:
        """As JSON values all that an answer depends on: not how long and how often to try, nor whose key it is."""
        return self.model_dump(mode="json", exclude=set(NOT_SAMPLED))


class BudgetParams(Params):
    """Money that may be spent. A call that would go over it is refused before it is made."""

    per_run_usd: float = Field(default=5.0, ge=0, description="for all calls of a run (US dollars)")
    per_query_usd: float = Field(default=0.10, ge=0, description="for one question (US dollars)")


class LlmParams(Params):
    """Models by role."""

    chat: ChatParams = ChatParams()
    judge: ChatParams | None = Field(
        default=None, description="the model that judges what `chat` wrote, better one of another family; null: chat"
    )
    budget: BudgetParams = BudgetParams()
    cache: bool = Field(default=True, description="answer a repeated request from the response cache at temperature 0")
