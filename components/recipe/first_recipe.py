"""The first recipe for somebody's own notes: a small commented file with only the keys that differ, never overwritten.

State after a hard crash: the recipe is there whole or not at all; a file `.NAME.new-*` beside it may be left.
"""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from components.errors import InputError
from components.recipe.faults import RecipeError
from components.recipe.load import LoadedRecipe, load_recipe
from components.recipe.survey import Survey
from components.store import write_atomic

__all__ = ["FirstRecipe", "first_recipe", "recipe_name", "write_first", "write_new"]


_ALL = "every note"
_BESIDE = "beside NORD, PROMPT_RIPRESA, decisions, ideas and state, which are always looked for"


@dataclass(frozen=True)
class FirstRecipe:
    """What `init` is about to write. `phase`: mvp when persona and golden questions are there, else reindex."""

    path: Path
    name: str
    phase: str
    text: str


def recipe_name(text: str) -> str:
    """A name that a recipe may have, made of any text: small letters and digits, joined by dashes."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall(r"[a-z0-9]+", plain))[:60].strip("-") or "notes"


def first_recipe(
    found: Survey, *, path: Path, name: str, workspace: Path, persona: Sequence[Path] = ()
) -> FirstRecipe:  # fmt: skip
    """The text of a recipe for these notes.

    Args:
        found: what is there.
        path: where the recipe will be; a `_base.yaml` beside it is extended.
        name: of the recipe.
        workspace: the one of commands without a recipe; written down unless a base names its own.
        persona: files of the persona that were just written (COSTITUZIONE first); none: those that were found.

    Raises:
        InputError: a path that no recipe can name.
    """
    folder = path.parent
    constitution, dna = [*persona, None, None][:2] if persona else (_first(found.constitutions), _first(found.dnas))
    scored = found.golden is not None and (constitution or dna) is not None
    based = (folder / "_base.yaml").is_file()
    phase = "mvp" if scored else "reindex"
    command = f"cervella run {_shell(path)}"
    rows = ["# yaml-language-server: $schema=schema.json"] if (folder / "schema.json").is_file() else []
    rows += [
        f"# What: the notes of {_word(found.root.name)}; {'indexed, answered and scored' if scored else 'indexed'}.   "
        "Before: nothing.",
        f"# Run:  {command}",
        "# Try:  -o index.search.k=5, or -o index.chunk.max_tokens=300",
        *(["extends: _base.yaml"] if based else []),  # not mvp.yaml, whose prompts are for the persona of the examples
        f"name: {name}",
        *([] if based else [f"workspace: {_path(workspace, folder)}    # all that runs write"]),
        f"phase: {phase}" + ("" if scored else "                 # mvp, once there are golden questions: see the end"),
        "",
        "sncp:",
        f"  root: {_path(found.root, folder)}",
        *_listed("include", found.include, _ALL if found.include[:1] == ["**/*.md"] else _BESIDE),
        *_listed("exclude", found.exclude, "tools and other people's code"),
    ]
    rows += _persona(found, folder=folder, constitution=constitution, dna=dna, based=based)
    rows += ["", "index:", f"  uri: ${{workspace}}/index-{name}    # a table of its own"]
    rows += ["", *(_golden_known(found, folder) if scored else _golden_missing(found))]
    return FirstRecipe(path, name, phase, "\n".join(rows) + "\n")


def _first(files: Sequence[Path]) -> Path | None:
    return files[0] if files else None


def _listed(key: str, globs: Sequence[str], why: str) -> list[str]:
    return [f"  {key}:    # {why}", *(f"    - {_quoted(glob)}" for glob in globs)] if globs else []


def _persona(found: Survey, *, folder: Path, constitution: Path | None, dna: Path | None, based: bool) -> list[str]:
    rows = ["", "persona:"]
    for key, file, others in (("constitution", constitution, found.constitutions), ("dna", dna, found.dnas)):
        rest = [other for other in others if other != file]
        if file is not None:
            rows.append(f"  {key}: {_path(file, folder)}")
            rows += [f"  # or {_path(other, folder)}" for other in rest[:3]]
        elif based:
            rows.append(f"  {key}: null    # not found; the base names that of the examples")
        else:
            rows.append(f"  # {key}: not found; name a Markdown file, or let `cervella init --persona` write one")
    if found.resumes and not based:  # a base has its own
        rows.append("  session: {max_tokens: 400}    # the newest PROMPT_RIPRESA")
    has_key = any(not row.lstrip().startswith("#") for row in rows[2:])
    return rows if has_key else ["", "# persona:", *(row.replace("  #", "#  ", 1) for row in rows[2:])]


def _golden_known(found: Survey, folder: Path) -> list[str]:
    return ["evaluate:", f"  golden: {_path(found.golden or folder, folder)}"]


def _golden_missing(found: Survey) -> list[str]:
    current = [item for item in found.documents if item.status == "current"] or found.documents
    gold = max(current, key=lambda item: (item.kind == "decision", item.date or "", item.path)).path
    example = {"id": "q01", "question": "...", "lang": "it", "kind": "fact", "gold": [gold]}
    return [
        "# Scores need questions whose answers you know; nobody can write them for you. Ten are a beginning: questions",
        "# that you really asked, in your words and not in those of a heading, each with the note that answers it.",
        "# One line each in golden.jsonl beside this file, `gold` empty where no note answers:",
        f"#   {_printable(json.dumps(example, ensure_ascii=False))}",
        "# Then write `phase: mvp` above, take these marks away, and run again:",
        "# evaluate:",
        "#   golden: golden.jsonl",
    ]


def _path(path: Path, folder: Path) -> str:
    """As the recipe writes it: relative where that is short, quoted where YAML needs it."""
    text = str(path)
    relative = os.path.relpath(path, folder)
    if relative.split("/").count("..") <= 2 and len(Path(os.path.commonpath([path, folder])).parts) > 1:
        text = relative
    if text.startswith("~"):
        text = f"./{text}"
    if "${" in text or not text.isprintable() or any("\udc80" <= char <= "\udcff" for char in text):
        raise InputError(
            f"{text.encode('utf-8', 'backslashreplace').decode()}: a recipe cannot name this path, because of "
            "characters that are no text, or '${'. Rename the folder, or make a link to it with a plain name."
        )
    return _quoted(text)


def _quoted(text: str) -> str:
    plain = re.fullmatch(r"[A-Za-z_./][\w./@-]*", text, re.ASCII) and text.lower() not in ("null", "true", "false")
    return text if plain else json.dumps(text, ensure_ascii=False)


def _word(text: str) -> str:
    return _printable(text) or "a folder"


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def _shell(path: Path) -> str:
    import shlex

    return _printable(shlex.quote(os.path.relpath(path)))


def write_first(first: FirstRecipe) -> LoadedRecipe:
    """Check the recipe as it will stand, then write it.

    Raises:
        InputError: the file is there already; or the recipe would not be valid, and nothing is written.
    """
    trial = first.path.with_name(f".{first.path.name}.new-{os.getpid()}")
    try:
        write_atomic(trial, first.text.encode())
        try:
            load_recipe(trial)
        except RecipeError as error:
            told = str(error).replace(trial.name, first.path.name)
            raise InputError(f"The recipe for these notes would not be valid; nothing was written.\n{told}") from None
        _place(trial, first.path)
    finally:
        trial.unlink(missing_ok=True)
    return load_recipe(first.path)


def write_new(path: Path, text: str) -> None:
    """Write a file that must not be there yet, whole or not at all. Raises InputError when it is."""
    trial = path.with_name(f".{path.name}.new-{os.getpid()}")
    try:
        write_atomic(trial, text.encode())
        _place(trial, path)
    finally:
        trial.unlink(missing_ok=True)


def _place(trial: Path, path: Path) -> None:
    """Give a whole file its name, unless there is such a file: a rename would replace it without a word."""
    try:
        trial.chmod(0o644)  # as any file that a person writes
        os.link(trial, path)
    except FileExistsError:
        raise InputError(f"{path} is there already and is never overwritten: name another file with --out.") from None
