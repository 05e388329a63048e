"""Families of models by name: a judge is better of another one than what it judges.

**Not covered**: a name says who trained a model last, not on what. One that was distilled from another family is told
only where its name says so; a deployment with a name of one's own has no family that is known.
"""

from __future__ import annotations

import re

__all__ = ["family_of", "same_family"]

# A part of a name is what stands between / : . _ @ and hyphens; the first pattern that matches it wins.
_FAMILIES: tuple[tuple[str, str], ...] = (
    ("claude", r"claude"),
    ("gpt", r"(?:chat)?gpt(?:\d[\w]*)?|davinci"),
    ("gemini", r"gemini"),
    ("gemma", r"(?:\w*[a-z])?gemma\d*"),
    ("smollm", r"smol(?:lm|vlm)\d*"),
    ("llama", r"(?:code|tiny|open|meta)?llama\d*|vicuna"),
    ("mistral", r"(?:mi[sx]tral|ministral|magistral|codestral|devstral|pixtral|voxtral|mathstral|zephyr)\d*"),
    ("qwen", r"(?:code)?qwen\d*|qwq|qvq"),
    ("deepseek", r"deepseek\w*"),
    ("phi", r"phi\d*"),
    ("command", r"command|c4ai|aya"),
    ("grok", r"grok\d*"),
    ("granite", r"granite\d*"),
    ("falcon", r"falcon\d*"),
    ("nova", r"nova"),
    ("yi", r"yi"),
    ("glm", r"(?:chat)?glm\d*"),
    ("kimi", r"kimi|moonshot"),
    ("minimax", r"minimax"),
    ("olmo", r"olmo\d*"),
    ("nemotron", r"nemotron"),
    ("jamba", r"jamba"),
    ("minerva", r"minerva"),
    ("internlm", r"internlm\d*"),
)
_PATTERNS = tuple((family, re.compile(pattern)) for family, pattern in _FAMILIES)
_OPENAI_REASONS = re.compile(r"o[1345](?![a-z0-9])")
_MAKERS = {
    "anthropic": "claude", "mistral": "mistral", "mistralai": "mistral", "deepseek": "deepseek", "xai": "grok",
    "cohere": "command", "cohere_chat": "command", "gemini": "gemini", "moonshot": "kimi",
}  # fmt: skip
"""Providers and organisations that serve their own models only, for names that say no more."""
_PARTS = re.compile(r"[-_.:@\s]+")


def family_of(model: str, *, base: str | None = None) -> str | None:
    """The family of a model, by its name: litellm's, a tag of Ollama, a name of a hub, `local/...` or `fake/...`.

    Args:
        model: `anthropic/claude-sonnet-4-5`, `ollama/qwen3:4b`, `meta-llama/Llama-3.1-8B`, `local/...`.
        base: of a trained adapter, the model that it was trained on: then this is the name that counts.

    Returns:
        `claude`, `gpt`, `llama`, `qwen` ..., `fake` for doubles; None: the name does not say.
    """
    named = _named(base or model)
    return named[0] if named else None


def same_family(first: str, second: str, *, first_base: str | None = None) -> bool | None:
    """Whether two models have a family in common (a distilled one has two); None: of one nothing is known.

    `first_base`: see `family_of`, for the first.
    """
    one, other = _named(first_base or first), _named(second)
    return bool(set(one) & set(other)) if one and other else None


def _named(model: str) -> list[str]:
    """Families in a name, the first one first."""
    if model.startswith("fake/"):
        return ["fake"]
    *before, name = model.lower().strip("/ ").split("/")
    found = _families(name)
    if not found and _OPENAI_REASONS.match(name):
        return ["gpt"]
    for segment in reversed(before):
        if found:
            break
        found = [_MAKERS[segment]] if segment in _MAKERS else [] if segment == before[0] else _families(segment)
    return found


def _families(segment: str) -> list[str]:
    found: list[str] = []
    for part in _PARTS.split(segment):
        family = next((family for family, pattern in _PATTERNS if pattern.fullmatch(part)), None)
        if family and family not in found:
            found.append(family)
    return found
