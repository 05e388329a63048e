"""Section `dataset` of a recipe: where examples come from, what they must be, how they are split."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field, field_validator

from components.dataset.findings import Severity
from components.dataset.rules import RULES
from components.params import Params, RecipePath

__all__ = [
    "CheckParams", "DatasetParams", "GenerateParams", "NoteKind", "Origin", "PersonalDatum", "SplitParams", "StageName",
    "StagesParams", "TemplateName",
]  # fmt: skip

TemplateName = Literal["qwen3", "smollm2"]
StageName = Literal["foundation", "expansion", "refinement"]
Origin = Literal["hand", "log", "generated"]
"""Who wrote an example: a person for the dataset, a person and a partner in a conversation, a model."""
NoteKind = Literal[
    "decision", "idea", "state", "resume", "north", "research", "report", "roadmap", "handoff", "lesson", "session",
    "persona", "note",
]  # fmt: skip
"""As `components.sncp` has them; a test holds them together, since no section imports another room."""
PersonalDatum = Literal["codice_fiscale", "partita_iva", "iban", "card", "phone", "email"]


class StagesParams(Params):
    """Examples that each stage of the owner's roadmap is to have: 200, then 400, then 600 in all."""

    foundation: int = Field(default=200, ge=0, description="COSTITUZIONE and DNA")
    expansion: int = Field(default=200, ge=0, description="notes of the SNCP and real conversations")
    refinement: int = Field(default=200, ge=0, description="edge cases and variations")


class CheckParams(Params):
    """What every example must be before a trainer may see it."""

    template: TemplateName = Field(
        default="qwen3", description="tokenizer and chat template of the base model that is to be trained"
    )
    max_tokens: int = Field(default=2048, gt=0, description="longest conversation, template included (tokens)")
    min_tokens: int = Field(default=16, ge=0, description="shorter conversations are told (tokens)")
    fail_on: Severity = Field(default="error", description="a finding of this severity or above stops the dataset")
    feminine: bool = Field(default=True, description="the partner speaks of herself in the feminine (Italian)")
    personal_data: list[PersonalDatum] = Field(
        default=["codice_fiscale", "partita_iva", "iban", "card", "phone", "email"],
        description="kinds of personal data that are told; secrets always are",
    )
    allow: list[str] = Field(
        default=[], description="secrets and personal data to leave alone: exact texts or globs such as '*@example.com'"
    )
    severities: dict[str, Severity | Literal["off"]] = Field(
        default={}, description="rule -> error, warning, info or off, where it is not as the rule says"
    )
    leave_out: list[str] = Field(
        default=["E1", "E2", "E4"],
        description="rules whose rows are left out instead of stopping the dataset: of equals the first one stays, and "
        "training never holds what is held out",
    )
    suite: RecipePath | None = Field(
        default=None, description="YAML: what Great Expectations asserts of the checked rows; null: no audit"
    )

    @field_validator("severities", "leave_out")
    @classmethod
    def _are_rules(cls, value: Iterable[str]) -> Iterable[str]:
        for name in value:
            if name not in RULES:
                raise ValueError(f"{name!r} is no rule of the check; the rules are {', '.join(RULES)}")
        return value


class GenerateParams(Params):
    """Examples that a model writes from notes: question, answer, critique, revision. Held back until a person accepts.

    The models are those of `llm.chat`; every one is reviewed like the others.
    """

    per_note: int = Field(default=0, ge=0, le=20, description="examples to be made from each note; 0: none")
    kinds: list[NoteKind] = Field(
        default=["decision", "idea", "north"], description="kinds of notes (as in sncp.sources) that they are made from"
    )
    most_notes: int = Field(default=50, gt=0, description="notes at most, the newest first")
    stage: StageName = Field(default="expansion", description="stage that they count for")


class SplitParams(Params):
    """Which examples are held out to see whether training helps. No note is on both sides."""

    validation_share: float = Field(default=0.1, gt=0, lt=0.9, description="share of the examples, 0..1")
    seed: int = Field(default=13, description="another seed is another split")


class DatasetParams(Params):
    """From conversations to a checked, split ShareGPT dataset."""

    examples: list[RecipePath] = Field(
        default=[], description="files of conversations, globs allowed: ShareGPT, or any format that can be converted"
    )
    logs: list[RecipePath] = Field(
        default=[], description="exports of Claude and of OpenAI chats (conversations.json), globs allowed"
    )
    generate: GenerateParams = GenerateParams()
    reviews: RecipePath | None = Field(
        default=None, description="file of `cervella data review`: who accepted, edited or rejected which example"
    )
    needs_review: list[Origin] = Field(
        default=["log", "generated"], description="examples of these origins are held back until they are accepted"
    )
    stages: StagesParams = StagesParams()
    check: CheckParams = CheckParams()
    split: SplitParams = SplitParams()
