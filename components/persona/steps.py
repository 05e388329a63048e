"""The step that compiles the system prompt: `persona.compile`. Its identity is the texts that it reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import InputError, TerminalError
from components.llm import load_tokenizer
from components.persona.params import PersonaParams
from components.persona.prompt import Prompt, compile_prompt
from components.persona.session import Session, choose_session, is_resumable, session_context
from components.sncp.persona_path import persona_path
from components.store import Artefact, Run, Step, StepSpec, logger, recorded_step, sha256_hex

if TYPE_CHECKING:
    from components.sncp import Document

__all__ = [
    "PersonaTexts",
    "compile_persona",
    "compile_spec",
    "compile_texts",
    "persona_texts",
    "read_persona",
    "write_persona",
]


@dataclass(frozen=True)
class PersonaTexts:
    """What the prompt is made of: (path in the index, text) of each part, masked like every note."""

    constitution: tuple[str, str] | None
    dna: tuple[str, str] | None
    session: tuple[str, str] | None
    local: tuple[str, ...] = ()
    """Paths of those that must not leave this machine."""


def persona_texts(params: PersonaParams, *, root: Path, documents: Sequence[Document]) -> PersonaTexts:
    """Find the texts among the documents.

    Args:
        params: section `persona`.
        root: `sncp.root`.
        documents: as collected, the persona's files included.
    """
    by_path = {path: document for document in documents for path in document.paths}

    def text(file: Path | None) -> tuple[str, str] | None:
        if file is None:
            return None
        document = by_path.get(persona_path(file, root=root))
        if document is None:  # quarantined for a secret in it, or excluded by a glob
            raise InputError(f"the persona file {file} is not among the notes that were read; the report says why")
        return document.path, document.text

    session = None
    if params.session is not None:
        # A memory without a PROMPT_RIPRESA is no fault; a note that the recipe names and nobody finds is one.
        if params.session.path is None and not any(is_resumable(document) for document in documents):
            logger.warning("no current PROMPT_RIPRESA*.md among the notes: the partner works without session context")
        else:
            chosen = choose_session(documents, params.session.path)
            session = (chosen.path, chosen.text)
    parts = (text(params.constitution), text(params.dna), session)
    return PersonaTexts(*parts, local=tuple(part[0] for part in parts if part and by_path[part[0]].local))


def compile_spec(params: PersonaParams, texts: PersonaTexts) -> StepSpec:
    """Identity of the step."""
    inputs = {
        name: sha256_hex("\0".join(part).encode("utf-8", "surrogatepass"))
        for name, part in (("constitution", texts.constitution), ("dna", texts.dna), ("session", texts.session))
        if part
    }
    values = params.model_dump(mode="json", include={"name", "max_tokens", "tokenizer", "priorities"})
    values["session_max_tokens"] = params.session.max_tokens if params.session else None
    values["local"] = sorted(texts.local)
    return StepSpec("persona.compile", 3, values, inputs)


def compile_texts(params: PersonaParams, texts: PersonaTexts) -> tuple[Prompt, Session | None]:
    """The system prompt and the session context, each within its budget."""
    tokenizer = load_tokenizer(params.tokenizer)
    sources: dict[str, str] = {}
    if texts.constitution:
        sources["constitution_source"] = texts.constitution[0]
    if texts.dna:
        sources["dna_source"] = texts.dna[0]
    prompt = compile_prompt(
        name=params.name,
        constitution=texts.constitution[1] if texts.constitution else None,
        dna=texts.dna[1] if texts.dna else None,
        priorities=params.priorities,
        max_tokens=params.max_tokens,
        tokenizer=tokenizer,
        **sources,
    )
    prompt = replace(prompt, local_notes=tuple(path for path in sources.values() if path in texts.local))
    if not (texts.session and params.session):
        return prompt, None
    path, text = texts.session
    try:
        session = session_context(text=text, path=path, max_tokens=params.session.max_tokens, tokenizer=tokenizer)
    except TerminalError as error:
        if params.session.path is not None:
            raise
        logger.warning("no session context: %s", error)  # nobody asked for this very note: it is no reason to stop
        return prompt, None
    return prompt, replace(session, local=path in texts.local)


def compile_persona(run: Run, params: PersonaParams, *, root: Path, documents: Sequence[Document]) -> Artefact:
    """Compile and seal `prompt.md`, `prompt.json` (with the report of its sections) and `session.json`."""
    texts = persona_texts(params, root=root, documents=documents)
    with recorded_step(run, compile_spec(params, texts)) as step:
        if not step.sealed:
            write_persona(step, *compile_texts(params, texts))
    return step.artefact


def write_persona(step: Step, prompt: Prompt, session: Session | None) -> None:
    """Write what `compile_persona` seals; a plan does it too, into a step that keeps nothing."""
    step.write_text("prompt.md", prompt.text)
    step.write_json("prompt.json", prompt.to_dict())
    step.write_json("session.json", session.to_dict() if session else None)
    left = sum(not section.included for section in prompt.sections)
    step.note(tokens=prompt.tokens, sections_left_to_rag=left, session_tokens=session.tokens if session else 0)


def read_persona(artefact: Artefact) -> tuple[Prompt, Session | None]:
    """Prompt and session context of a sealed `persona.compile`."""
    session: dict[str, Any] | None = artefact.read_json("session.json")
    return Prompt.from_dict(artefact.read_json("prompt.json")), Session.from_dict(session) if session else None
