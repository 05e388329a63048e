"""Writes what the documentation says of the code: README.md's list of files, docs/recipe.md, rules.md, commands.md.

python -m docs.reference           # write
python -m docs.reference --check   # exit 1 when something is not up to date
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from components.dataset.rules import RULES
from components.recipe import Recipe
from flows.cli import COMMANDS, GROUPS, cli

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- files: written by docs/reference.py -->", "<!-- end of files -->"
FOLDERS = ("flows", "components", "benchmarks", "docs")


def purpose(path: Path) -> str:
    """First line of a module's docstring, without its full stop."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.split("\n")[0].rstrip(".")


def files() -> Iterator[str]:
    """One line for each module, by folder; `params`, `steps` and `tasks` of a room come last."""
    for folder in FOLDERS:
        paths = [path for path in (ROOT / folder).rglob("*.py") if path.name != "__init__.py"]
        rooms: dict[Path, list[Path]] = {}
        for path in sorted(paths, key=lambda path: (path.stem in {"params", "steps", "tasks"}, path)):
            rooms.setdefault(path.parent, []).append(path)
        for room in sorted(rooms):
            about = purpose(room / "__init__.py") if (room / "__init__.py").exists() else ""
            yield f"{room.relative_to(ROOT)}/" + (f"  {about}" if about else "")
            width = max(len(path.name) for path in rooms[room]) + 2
            yield from (f"  {path.name:<{width}}{purpose(path)}" for path in rooms[room])


def readme() -> str:
    """README.md with its list of files written anew."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n```\n" + "\n".join(files()) + f"\n```\n{END}{tail}"


def kind_of(annotation: Any) -> str:
    """A type in words."""
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(kind_of(part) if part is not type(None) else "null" for part in get_args(annotation))
    arguments = get_args(annotation)
    if hasattr(annotation, "__metadata__"):  # Annotated
        return kind_of(arguments[0])
    if str(annotation).startswith("typing.Literal"):
        return ", ".join(map(str, arguments)) if len(arguments) < 6 else f"one of {len(arguments)} names"
    names = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false", "Path": "path"}
    if get_origin(annotation) is list:
        return f"list of {kind_of(arguments[0])}"
    if get_origin(annotation) is dict:
        return f"map to {kind_of(arguments[1])}"
    name = getattr(annotation, "__name__", str(annotation))
    return names.get(name, name)


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The section that a field holds, if it is one."""
    candidates = [annotation, *get_args(annotation)]
    return next((item for item in candidates if isinstance(item, type) and issubclass(item, BaseModel)), None)


def keys(model: type[BaseModel], prefix: str) -> Iterator[str]:
    """A row for each key of a section, and of the sections in it."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        section = model_in(field.annotation)
        description = (field.description or "").replace("|", "\\|")
        default = field.get_default(call_default_factory=True)
        if section is not None:
            off = "see below" if isinstance(default, BaseModel) else _shown(default)
            yield f"| `{key}` | section | {off} | {description} |"
            yield from keys(section, f"{key}.")
        else:
            yield f"| `{key}` | {kind_of(field.annotation)} | {_shown(default)} | {description} |"


def _shown(default: Any) -> str:
    """A default, as YAML would have it; a long one is left to the schema."""
    if default is PydanticUndefined:
        return "**needed**"
    if default is None or isinstance(default, bool):
        return f"`{json.dumps(default)}`"
    text = str(default) or '""'
    return f"`{text}`" if len(text) < 60 else "see recipes/schema.json"


def recipe() -> str:
    """docs/recipe.md's table of keys."""
    rows = "\n".join(keys(Recipe, ""))
    return (
        "# Every key of a recipe\n\nWritten by docs/reference.py from the `params.py` of each room; "
        "editors complete and check from `recipes/schema.json`.\n"
        "How recipes are composed: [recipes.md](recipes.md).\n\n"
        f"| key | kind | default | meaning |\n| --- | --- | --- | --- |\n{rows}\n"
    )


def rules() -> str:
    """docs/rules.md's table of the rules of the check of a dataset."""
    groups = {"A": "The file", "B": "Structure", "C": "Text", "D": "Tokens", "E": "The set as a whole",
              "F": "Secrets and personal data", "G": "Where a row comes from"}  # fmt: skip
    rows = []
    for group, title in groups.items():
        rows.append(
            f"\n## {group}: {title}\n\n| rule | severity | if it is ignored | how to mend it |\n|---|---|---|---|"
        )
        rows += [
            f"| **{rule.id}** {rule.name} | {rule.severity} | {rule.why} | {rule.fix} |".replace("{", "\\{")
            for rule in RULES.values()
            if rule.id.startswith(group)
        ]
    return (
        "# Every rule of `cervella data check`\n\nWritten by docs/reference.py from `components/dataset/rules.py`. A "
        "finding may be less severe than its rule where the case is doubtful.\n"
        "A recipe changes severities with `dataset.check.severities: {C11: off}`. How the check is used: "
        "[dataset.md](dataset.md).\n" + "\n".join(rows) + "\n"
    )


def commands() -> str:
    """docs/commands.md: every command with its arguments and options, as `--help` has them."""
    context = click.Context(cli, info_name="cervella")
    grouped = {name for names in GROUPS.values() for name in names}
    rest = tuple(name for name in COMMANDS if name not in grouped)
    rows = []
    for title, names in (*GROUPS.items(), ("More", rest)):
        rows += [f"\n## {title}"] if names else []
        for name in names:
            command = cli.get_command(context, name)
            if command is None:
                raise LookupError(f"flows/cli.py: GROUPS names {name}, which is not in COMMANDS")
            rows += _command(command, click.Context(command, info_name=name, parent=context))
    about = inspect.getdoc(sys.modules["flows.cli"]) or ""
    return (
        "# Every command\n\nWritten by docs/reference.py from the commands themselves; `cervella COMMAND --help` says "
        f"the same.\n\n{about.partition(chr(10) * 2)[2]}\n" + "\n".join(rows) + "\n"
    )


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    """One command, and those under it."""
    pieces = [piece for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]"]
    yield "\n### " + " ".join([context.command_path, *pieces]).removeprefix("cervella ") + "\n"
    yield _paragraphs(command.help or "")
    options = [one for one in command.get_params(context) if isinstance(one, click.Option) and "--help" not in one.opts]
    told = [record for record in (one.get_help_record(context) for one in options) if record]
    if told:
        yield "\n| option | meaning |\n| --- | --- |"
        yield from (f"| `{_cell(names)}` | {_cell(text)} |" for names, text in told)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from _command(below, click.Context(below, info_name=name, parent=context))


def _paragraphs(text: str) -> str:
    """Help as Markdown: lines of a paragraph joined, signs that Markdown would take for its own kept as they are."""
    parts = [" ".join(part.split()) for part in inspect.cleandoc(text).replace("\b\n", "").split("\n\n")]
    return "\n\n".join(part.replace("<", "\\<") for part in parts)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "\\<")


def main() -> int:
    """Write, or check."""
    stale = []
    written = {
        ROOT / "README.md": readme(), ROOT / "docs" / "recipe.md": recipe(), ROOT / "docs" / "rules.md": rules(),
        ROOT / "docs" / "commands.md": commands(),
    }  # fmt: skip
    for path, text in written.items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(path.name)
            if "--check" not in sys.argv:
                path.write_text(text, encoding="utf-8")
    if stale and "--check" in sys.argv:
        print(f"{', '.join(stale)}: not up to date; run: make format", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
