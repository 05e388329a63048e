"""Section `serve` of a recipe: the endpoint, who answers there, and what two releases are compared by."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from components.params import Params

__all__ = [
    "BreakerParams",
    "ClassifierParams",
    "CompareParams",
    "HelperParams",
    "LimitParams",
    "RouterParams",
    "ServeParams",
    "Tier",
    "VllmParams",
    "Who",
]

Tier = Literal["simple", "medium", "complex"]
"""How hard a question is."""
Who = Literal["own", "helper"]
"""own: the model of what is in service (`llm.chat`). helper: the model of `serve.router.helper`, such as Claude."""


class HelperParams(Params):
    """The model that is asked when a question is hard: `llm.chat` in short, since it answers with the same prompt."""

    model: str = Field(description="a litellm model, such as anthropic/claude-sonnet-4-6, or fake/NAME")
    api_key_env: str | None = Field(
        default=None, pattern=r"^[A-Z_][A-Z0-9_]*$",
        description="NAME of the environment variable that holds the key; read at the call, stored nowhere",
    )  # fmt: skip
    api_base: str | None = Field(default=None, description="URL of an OpenAI-compatible endpoint")
    max_tokens: int = Field(default=512, gt=0, description="longest answer (tokens of the model)")
    context_tokens: int = Field(default=100_000, gt=0, description="context window (tokens of the model)")
    timeout_seconds: float = Field(default=30.0, gt=0, description="for one call, connection included")


class ClassifierParams(HelperParams):
    """The model that is asked how hard a question is, where the points of the rules lie on a border of two tiers."""

    max_tokens: int = Field(default=16, gt=0, description="longest answer (tokens of the model); it says one word")
    context_tokens: int = Field(default=4096, gt=0, description="context window (tokens of the model)")
    timeout_seconds: float = Field(
        default=3.0, gt=0, description="for its word; without one by then the rules decide alone"
    )


class BreakerParams(Params):
    """When a model that fails is left alone for a while."""

    failures: int = Field(default=3, ge=1, description="in a row, after which it is not asked any more")
    seconds: float = Field(default=30.0, gt=0, description="for so long; then one question tries it again")


class RouterParams(Params):
    """Which question goes to which model, and to whom it goes when that one fails."""

    helper: HelperParams = Field(description="the model for what is hard")
    simple: list[Who] = Field(
        default=["own", "helper"], min_length=1, description="who is asked a simple question, in this order"
    )
    medium: list[Who] = Field(default=["own", "helper"], min_length=1, description="a medium one")
    complex: list[Who] = Field(default=["helper", "own"], min_length=1, description="a complex one")
    long_question_chars: int = Field(
        default=400,
        gt=0,
        description="a question of more characters is at least medium, of three times as many complex",
    )
    complex_words: list[str] = Field(
        default=[
            "perché", "confronta", "analizza", "strategia", "valuta", "pro e contro", "pianifica", "progetta",
            "why", "compare", "analyse", "analyze", "strategy", "evaluate", "trade-off", "plan", "design",
        ],
        description="words that make a question harder; whole words, any case",
    )  # fmt: skip
    classifier: ClassifierParams | None = Field(
        default=None,
        description="a model that has the word where the rules find one or two points, each a border of two tiers; it "
        "is given the question alone; none: the rules alone",
    )
    min_confidence: float = Field(
        default=0.0, ge=0, le=1,
        description="an answer of less goes on to the next: cosine of the best note that it cites; 0: never",
    )  # fmt: skip
    breaker: BreakerParams = BreakerParams()
    per_month_usd: float = Field(
        default=50.0,
        ge=0,
        description="for the helper and the classifier, by the usage log; above it only `own` is asked (US dollars)",
    )

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        for tier in ("simple", "medium", "complex"):
            named = getattr(self, tier)
            if len(set(named)) < len(named):
                raise ValueError(f"{tier} names one of them twice")
        return self


class CompareParams(Params):
    """The newest release beside the one in service, on real questions."""

    mode: Literal["shadow", "ab"] = Field(
        description="shadow: it is asked too, and only the record sees its answer. ab: it answers a share of the "
        "conversations"
    )
    share: float = Field(default=0.1, gt=0, le=1, description="of the conversations (0 to 1), each whole on one side")
    run: str | None = Field(
        default=None,
        description="of this run, the release; none: the newest of this recipe, in phase scale that of scale.candidate",
    )
    questions: int = Field(default=200, ge=1, description="are enough: then comparing ends")


class LimitParams(Params):
    """What one request, one key and all together may take."""

    body_kilobytes: int = Field(default=256, ge=1, description="largest request (kB)")
    messages: int = Field(default=100, ge=1, description="most messages of a request")
    question_chars: int = Field(default=8000, ge=1, description="longest question (characters)")
    history_tokens: int = Field(
        default=1000, ge=0, description="of the conversation so far that the model is given, newest first (tokens)"
    )
    per_minute: int = Field(default=60, ge=1, description="requests of one key in a minute")
    at_once: int = Field(default=16, ge=1, description="requests that are answered at the same time")
    waiting: int = Field(default=64, ge=0, description="more that may wait for their turn; then 503 with Retry-After")
    seconds: float = Field(default=120.0, gt=0, description="for one request, waiting included")


class VllmParams(Params):
    """How vLLM is started."""

    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32", description="of the weights and of computing; on a processor float32 is exact"
    )
    cache_gigabytes: int = Field(
        default=1, ge=1, le=1024, description="memory for what has been read of questions and answers (GiB)"
    )
    start_seconds: float = Field(
        default=600.0, gt=0, description="until it must answer; about 100 on two cores of a processor"
    )


class ServeParams(Params):
    """The endpoint."""

    host: str = Field(default="127.0.0.1", description="address that it listens on; other than loopback needs keys")
    port: int = Field(default=8421, ge=1, le=65535, description="the next free one if it is taken")
    keys_env: str | None = Field(
        default=None, pattern=r"^[A-Z_][A-Z0-9_]*$",
        description="NAME of the environment variable with the keys that are let in, separated by commas, each of 16 "
        "characters or more, as NAME:KEY or KEY",
    )  # fmt: skip
    answers: Literal["champion", "recipe"] = Field(
        default="champion", description="the release in service, or what the files of the recipe say now"
    )
    backend: Literal["embedded", "vllm"] = Field(
        default="embedded",
        description="what the own model answers by: embedded (llama.cpp in this process, or the endpoint that "
        "`llm.chat` names), or a vLLM that `cervella serve` starts and ends (`cervella backends install vllm`)",
    )
    vllm: VllmParams = VllmParams()
    router: RouterParams | None = Field(default=None, description="none: the own model answers everything")
    compare: CompareParams | None = Field(default=None, description="another release beside, or none")
    limits: LimitParams = LimitParams()
    keep_conversations: bool = Field(
        default=False,
        description="keep questions and answers, secrets and personal data masked, for `cervella data review`; else no "
        "text is kept",
    )
    look_seconds: float = Field(
        default=2.0, gt=0, description="how often it looks for another champion or a newly published index"
    )
