"""What no single key can tell: combinations that cannot work, and files that are not there."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.errors import InputError
from components.llm.names import ModelKind, check_model_name
from components.recipe.faults import Fault, mask
from components.recipe.resolve import Keys, Resolved
from components.recipe.shape import default_of, nearest
from components.sncp.globs import Glob
from components.train.params import TrainParams

__all__ = ["EMBEDDER_TOKENS", "check_files", "check_rules"]

EMBEDDER_TOKENS = {"local/multilingual-e5-small": 512, "text-embedding-3-small": 8191, "text-embedding-3-large": 8191}
"""The longest text that an embedder takes (its own tokens), where it is known ahead of time."""


class _Unknown(Exception):
    """The value is faulty already: a rule about it says nothing."""


@dataclass(frozen=True)
class _Problem:
    key: str
    message: str
    expected: str


@dataclass(frozen=True)
class _Values:
    resolved: Resolved
    faulty: frozenset[str]

    def __call__(self, key: str) -> Any:
        """The value at a dotted key, its default when it is not written."""
        names = key.split(".")
        here: Any = self.resolved.plain
        for length in range(1, len(names) + 1):
            prefix = ".".join(names[:length])
            if prefix in self.faulty or tuple(names[:length]) in self.resolved.broken:
                raise _Unknown
            if not isinstance(here, dict) or names[length - 1] not in here:
                # A section that is written as null has no values, not even defaults.
                return None if here is None else default_of(names)
            here = here[names[length - 1]]
        return here


_SCORED = ("mvp", "optimize")  # phases that answer questions, as the recipe says
Rule = Callable[[_Values], Iterator[_Problem]]


def _golden(get: _Values) -> Iterator[_Problem]:
    if get("evaluate.golden") is not None:
        return
    if get("phase") in _SCORED:
        yield _Problem(
            "evaluate.golden", "is missing: without questions there is nothing to score",
            "a file of golden questions, or phase: reindex",
        )  # fmt: skip
    if get("phase") == "scale":
        yield _Problem(
            "evaluate.golden", "is missing: without questions there is nothing to compare",
            "a file of golden questions",
        )  # fmt: skip


def _serves_the_champion(get: _Values) -> Iterator[_Problem]:
    """An endpoint that does not follow what is in service cannot tell how a promotion does."""
    if get("phase") == "scale" and get("serve.answers") != "champion":
        yield _Problem(
            "serve.answers", f"{get('serve.answers')} follows no promotion, which is what phase scale does", "champion"
        )


def _persona(get: _Values) -> Iterator[_Problem]:
    if get("phase") in _SCORED and get("persona.constitution") is None and get("persona.dna") is None:
        yield _Problem(
            "persona", "names neither constitution nor dna: there is nothing to make a system prompt of",
            "persona.constitution, persona.dna or both",
        )  # fmt: skip


def _answers_with_adapter(get: _Values) -> Iterator[_Problem]:
    """A model that answers in this process must be the one that was trained."""
    chat, base = get("llm.chat.model"), get("train.base.model")
    if get("phase") != "optimize" or not str(chat).startswith("local/"):
        return
    if chat != base:
        yield _Problem(
            "llm.chat.model", f"{chat} would answer without the adapter, which is of {base or 'another model'}",
            "train.base.model, or the name and api_base of a server that has the adapter",
        )  # fmt: skip
    elif not get("train.export.gguf_adapter"):
        yield _Problem(
            "train.export.gguf_adapter", f"{chat} could not answer with what was trained", "true, for a local model"
        )


def _longest(get: _Values) -> Iterator[_Problem]:
    """The check lets through what the trainer would drop or cut."""
    checked, trained = get("dataset.check.max_tokens"), get("train.max_tokens")
    if get("phase") == "optimize" and checked > trained:
        yield _Problem(
            "train.max_tokens", f"{trained} is less than dataset.check.max_tokens, {checked}: the trainer would lose "
            "examples that the check lets through", f"{checked} or more, or a lower dataset.check.max_tokens",
        )  # fmt: skip


def _chunk(get: _Values) -> Iterator[_Problem]:
    model, size = get("index.embedding.model"), get("index.chunk.max_tokens")
    most = EMBEDDER_TOKENS.get(model)
    if most is not None and size > most:
        yield _Problem(
            "index.chunk.max_tokens", f"{size} is more than {model} takes: the rest of a chunk would not be searched",
            f"at most {most}",
        )  # fmt: skip


def _candidates(get: _Values) -> Iterator[_Problem]:
    k, candidates = get("index.search.k"), get("index.search.candidates")
    if k > 2 * candidates:
        yield _Problem(
            "index.search.k", f"{k} chunks cannot come out of 2 x {candidates} candidates",
            "at most twice index.search.candidates",
        )  # fmt: skip


def _weight(get: _Values) -> Iterator[_Problem]:
    weight = get("index.search.dense_weight")
    if weight is None:
        return
    if get("index.search.fusion") == "rrf":
        yield _Problem(
            "index.search.dense_weight", "rrf joins ranks and has no weight", "fusion: minmax, or no dense_weight"
        )
    if get("index.embedding.model") == "none" and weight > 0:
        yield _Problem(
            "index.search.dense_weight", "there are no vectors to weigh", "an embedding model, or no dense_weight"
        )


def _bucket(get: _Values) -> Iterator[_Problem]:
    if get("index.copy_to") is not None and str(get("index.uri")).startswith("s3://"):
        yield _Problem(
            "index.copy_to", "the index is itself in a bucket, which is only read: there is nothing to copy",
            "index.uri a folder or none, on the machine that has the notes",
        )  # fmt: skip


def _window(get: _Values) -> Iterator[_Problem]:
    answer, window = get("llm.chat.max_tokens"), get("llm.chat.context_tokens")
    if answer >= window:
        yield _Problem(
            "llm.chat.max_tokens", f"an answer of {answer} tokens leaves no room for a question in {window}",
            "less than llm.chat.context_tokens",
        )  # fmt: skip


_SECRET_IN_URL = re.compile(
    r"://[^/?#\s]*@|[?&;](?:api[-_]?key|key|access[-_]?token|token|secret|password|pwd|sig)=", re.IGNORECASE
)


def _urls(get: _Values) -> Iterator[_Problem]:
    for key in ("index.embedding.api_base", "llm.chat.api_base", "llm.judge.api_base", "registry.tracking_uri"):
        if _SECRET_IN_URL.search(get(key) or ""):
            yield _Problem(
                key, "holds a password, and recipes are stored with every run", "a URL without user, password and key"
            )


_MODELS: tuple[tuple[str, ModelKind], ...] = (
    ("index.embedding.model", "embedding"),
    ("llm.chat.model", "chat"),
    ("llm.judge.model", "chat"),
    ("serve.router.helper.model", "chat"),
    ("serve.router.classifier.model", "chat"),
)


def _models(get: _Values) -> Iterator[_Problem]:
    for key, kind in _MODELS:
        model = get(key)
        try:
            _ = model is None or check_model_name(model, kind=kind)
        except InputError as error:
            yield _Problem(key, str(error), "local/NAME, fake/NAME or a litellm model")


def _keys(get: _Values) -> Iterator[_Problem]:
    for key, _ in _MODELS:
        env = key.removesuffix("model") + "api_key_env"
        name = get(env)
        if name and mask(name) != name:
            yield _Problem(env, "looks like the key itself", "the NAME of the environment variable that holds it")


def _privacy(get: _Values) -> Iterator[_Problem]:
    for text in get("privacy.local"):
        try:
            Glob.parse(text)
        except InputError as error:
            yield _Problem("privacy.local", str(error), "globs relative to sncp.root")
    for host in get("privacy.trusted_hosts"):
        if not re.fullmatch(r"[A-Za-z0-9_.-]+|[0-9A-Fa-f:]+", host):
            yield _Problem(
                "privacy.trusted_hosts", f"{mask(host)} is no host",
                "names or addresses, without http://, port and path, such as 192.168.1.5",
            )  # fmt: skip


def _trainer(get: _Values) -> Iterator[_Problem]:
    """What the trainer cannot do; and keys for itself that it does not know, or that it may not be given."""
    if not get("train.extra") and not get("train.packing") and get("train.precision") != "fp32":
        return  # nothing that a trainer could mind; its module is not even loaded
    from components.train.extra import cannot, check_extra

    try:
        params = TrainParams.model_validate(get("train"))
    except ValueError:
        raise _Unknown from None  # the section's own faults are told already
    for key, message, expected in cannot(params.trainer, params):
        yield _Problem(f"train.{key}", message, expected)
    for fault in check_extra(params.trainer, params):
        yield _Problem(f"train.extra.{fault.key}", fault.message, fault.expected)


RULES: tuple[Rule, ...] = (
    _golden, _serves_the_champion, _persona, _answers_with_adapter, _longest, _chunk, _candidates, _weight, _bucket,
    _window, _urls, _models, _keys, _privacy, _trainer,
)  # fmt: skip


def check_rules(resolved: Resolved, *, faulty: frozenset[str]) -> list[Fault]:
    """The combinations that cannot work. Rules about keys in `faulty` (dotted) are left out: they would only repeat."""
    get, faults = _Values(resolved, faulty), []
    for rule in RULES:
        try:
            problems = list(rule(get))
        except (_Unknown, TypeError):  # a value of another kind than its key asks for is told by a fault of its own
            continue
        for problem in problems:
            place, _ = resolved.place(tuple(problem.key.split(".")))
            faults.append(Fault(place, problem.key, problem.message, problem.expected))
    return faults


_FOLDERS: tuple[Keys, ...] = (("sncp", "root"),)
_FILES: tuple[Keys, ...] = (
    ("persona", "constitution"),
    ("persona", "dna"),
    ("evaluate", "golden"),
    ("dataset", "check", "suite"),
    ("train", "base", "gguf"),
    ("train", "prices"),
)
_WRITTEN: tuple[Keys, ...] = (("workspace",), ("index", "uri"))


def check_files(resolved: Resolved) -> list[Fault]:
    """Paths that are read must be there and readable, folders that are written must not be files.

    Who reads the index in a bucket need not have the notes.
    """
    faults = []
    for group, look in ((_FOLDERS, _folder), (_FILES, _file), (_WRITTEN, _written)):
        for keys in group:
            value: Any = resolved.plain
            for key in keys:
                value = value.get(key) if isinstance(value, dict) else None
            if not isinstance(value, str):
                continue
            try:
                wrong = look(Path(value))
                if wrong and group is _FOLDERS and not Path(value).is_file() and _is_read_in_a_bucket(resolved):
                    wrong = None
            except (OSError, ValueError) as error:
                wrong = ((getattr(error, "strerror", None) or str(error)).lower(), "a path that can be read")
            if wrong:
                place, _ = resolved.place(keys)
                near = _beside(Path(value)) if wrong[0].startswith("no such") else None
                faults.append(Fault(place, ".".join(map(str, keys)), f"{wrong[0]}: {value}", wrong[1], near))
    return faults


def _is_read_in_a_bucket(resolved: Resolved) -> bool:
    index = resolved.plain.get("index")
    uri = index.get("uri") if isinstance(index, dict) else None
    return isinstance(uri, str) and uri.startswith("s3://") and resolved.plain.get("phase") != "dataset"


def _beside(path: Path) -> str | None:
    """The name that was meant, or how far the path is good."""
    parent = next((above for above in path.parents if above.is_dir()), None)
    if parent is None:
        return None
    missing = path.relative_to(parent).parts[0]
    try:
        near = nearest(missing, sorted(os.listdir(parent))[:5000])
    except OSError:
        return None
    if near:
        return f"did you mean '{near}'?"
    return None if parent == path.parent else f"the path is good as far as {parent}"


def _folder(path: Path) -> tuple[str, str] | None:
    expected = "a folder with notes, relative to the file that names it"
    if not path.exists():
        return "no such folder", expected
    if not path.is_dir():
        return "is a file, not a folder", expected
    with os.scandir(path) as entries:
        return ("is an empty folder", expected) if next(entries, None) is None else None


def _file(path: Path) -> tuple[str, str] | None:
    expected = "a file, relative to the file that names it"
    if not path.exists():
        return "no such file", expected
    if not path.is_file():
        return "is not an ordinary file", expected
    return None if os.access(path, os.R_OK) else ("permission denied", "a file that can be read")


def _written(path: Path) -> tuple[str, str] | None:
    if path.exists() and not path.is_dir():
        return "is a file, not a folder", "a folder, or a path where one can be made"
    return None
