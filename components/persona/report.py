"""The report of a system prompt, for people: what is in, what is left to RAG, at what cost."""

from __future__ import annotations

from components.persona.prompt import PROMPT_TOKENS_TRIGGER, Prompt
from components.persona.session import Session

__all__ = ["prompt_markdown"]


def prompt_markdown(prompt: Prompt, session: Session | None) -> str:
    """Markdown: the budget, a table of sections, then the prompt itself."""
    lines = [
        f"# System prompt: {prompt.tokens} of {prompt.max_tokens} tokens ({prompt.tokenizer})",
        "",
        f"The whole persona would take {prompt.full_tokens} tokens"
        + (
            f", more than {PROMPT_TOKENS_TRIGGER}: one of the triggers for fine-tuning."
            if prompt.full_tokens > PROMPT_TOKENS_TRIGGER
            else "."
        ),
        f"Session context: {session.tokens} tokens from {session.path}." if session else "No session context.",
        *(f"- {note}" for note in prompt.notes),
        "",
        "| section | from | tokens | where | why |",
        "| --- | --- | --- | --- | --- |",
    ]
    for section in prompt.sections:
        heading = " > ".join(section.heading).replace("|", "\\|")
        where = "prompt" if section.included else "left to RAG"
        source = f"{section.source}:{section.first_line}-{section.last_line}"
        lines.append(f"| {heading} | {source} | {section.tokens} | {where} | {section.reason} |")
    fence = "````"
    return "\n".join([*lines, "", f"{fence}text", prompt.text, fence, ""])
