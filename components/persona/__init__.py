"""Who the partner is: COSTITUZIONE, DNA and session context within budgets of tokens."""

from __future__ import annotations

from components.persona.params import PersonaParams, SessionParams
from components.persona.prompt import (
    CONSTITUTION_SOURCE,
    DNA_SOURCE,
    PROMPT_TOKENS_TRIGGER,
    Prompt,
    SectionReport,
    compile_prompt,
)
from components.persona.session import Session, choose_session, session_context

__all__ = [
    "CONSTITUTION_SOURCE",
    "DNA_SOURCE",
    "PROMPT_TOKENS_TRIGGER",
    "PersonaParams",
    "Prompt",
    "SectionReport",
    "Session",
    "SessionParams",
    "choose_session",
    "compile_prompt",
    "session_context",
]
