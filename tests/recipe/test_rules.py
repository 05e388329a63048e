"""Combinations that cannot work, files that are not there, and secrets that are never shown."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from components.errors import InputError
from components.recipe import RecipeError, load_recipe
from components.recipe.faults import mask


def keys(error) -> list[str]:
    return [fault.key for fault in error.faults]


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["evaluate.golden=null"], "evaluate.golden"),
        (["evaluate.golden=null", "evaluate.answers=0"], "evaluate.golden"),
        (["persona.constitution=null"], "persona"),
        (["index.chunk.max_tokens=513"], "index.chunk.max_tokens"),
        (["index.search.k=101"], "index.search.k"),
        (["index.search.fusion=rrf", "index.search.dense_weight=0"], "index.search.dense_weight"),
        (["index.embedding.model=none", "index.search.dense_weight=0.5"], "index.search.dense_weight"),
        (["llm.chat.max_tokens=8192"], "llm.chat.max_tokens"),
        (["registry.tracking_uri=postgresql://me:pa55word@host/db"], "registry.tracking_uri"),
        (["index.embedding.model=local/e5"], "index.embedding.model"),
        (["llm.chat.model=local/gpt"], "llm.chat.model"),
        (["serve.router={helper: {model: local/gpt}}"], "serve.router.helper.model"),
        (
            ["serve.router={helper: {model: fake/chat}, classifier: {model: local/gpt}}"],
            "serve.router.classifier.model",
        ),
        (
            ["serve.router={helper: {model: x}, classifier: {model: x, api_key_env: AKIAABCDEFGHIJKLMNOP}}"],
            "serve.router.classifier.api_key_env",
        ),
        (["privacy.local=['../a.md']"], "privacy.local"),
        (["privacy.trusted_hosts=['http://192.168.1.5']"], "privacy.trusted_hosts"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refused(kitchen, good: str, overrides: list[str], key: str) -> None:
    assert keys(kitchen.refused(good, *overrides)) == [key]


@pytest.mark.parametrize(
    "overrides",
    [
        ["phase=reindex", "evaluate.golden=null", "persona.constitution=null"],
        ["index.chunk.max_tokens=512"],
        ["index.embedding.model=text-embedding-3-small", "index.chunk.max_tokens=513"],
        ["index.search.k=100"],
        ["index.search.fusion=rrf"],
        ["index.embedding.model=none", "index.chunk.max_tokens=2000"],
        ["llm.chat.model=anthropic/claude-sonnet-4-5"],
        ["llm.chat.model=fake/chat?reply=Ciao", "index.embedding.model=fake/embedding"],
    ],
    ids=lambda value: " ".join(value),
)
def test_allowed(kitchen, good: str, overrides: list[str]) -> None:
    kitchen.load(good, *overrides)


def test_a_faulty_value_is_told_once(kitchen, good: str) -> None:
    assert keys(kitchen.refused(good, "index.search.k=many", "index.search.candidates=1")) == ["index.search.k"]


@pytest.mark.parametrize("root", ["nowhere", "empty"])
def test_who_reads_the_index_in_a_bucket_needs_no_notes(kitchen, good: str, root: str) -> None:
    (kitchen.folder / "empty").mkdir()
    there = "index.uri=s3://some-bucket/notes"
    kitchen.load(good, f"sncp.root={root}", there)
    assert keys(kitchen.refused(good, f"sncp.root={root}", there, "phase=dataset")) == ["sncp.root"]
    assert keys(kitchen.refused(good, "sncp.root=golden.jsonl", there)) == ["sncp.root"]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("sncp.root=nowhere", "sncp.root: no such folder: "),
        ("sncp.root=golden.jsonl", "sncp.root: is a file, not a folder: "),
        ("sncp.root=empty", "sncp.root: is an empty folder: "),
        ("sncp.root=''", "sncp.root: is an empty path"),
        ("evaluate.golden=nowhere", "evaluate.golden: no such file: "),
        ("evaluate.golden=notes", "evaluate.golden: is not an ordinary file: "),
        ("persona.constitution=nowhere", "persona.constitution: no such file: "),
        ("persona.dna=nowhere", "persona.dna: no such file: "),
        ("workspace=golden.jsonl", "workspace: is a file, not a folder: "),
        (f"evaluate.golden={'a' * 5000}", "evaluate.golden: file name too long: "),
    ],
    ids=lambda value: value[:30],
)
def test_files(kitchen, good: str, override: str, said: str) -> None:
    (kitchen.folder / "empty").mkdir()
    error = kitchen.refused(good, override)
    assert said in str(error)
    assert len(error.faults) == 1


def test_all_kinds_of_faults_at_once(kitchen, good: str) -> None:
    text = good.replace("root: notes", "root: nowhere") + "indx: {}\nname: stew\nanswer: {min_score: 2}\n"
    error = kitchen.refused(text, "index.search.fusion=rrf", "index.search.dense_weight=0.5", "oops")
    assert sorted(keys(error)) == ["", "answer.min_score", "index.search.dense_weight", "indx", "name", "sncp.root"]


def test_the_error_is_one_of_input_and_survives_a_pickle(kitchen, good: str) -> None:
    error = kitchen.refused(good, "indx=1")
    assert isinstance(error, InputError)
    assert error.exit_code == 2
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301


SECRETS = [
    "sk-ant-api03-abcdEFGH1234",
    "sk-proj-abcdEFGH12345678",
    "ghp_abcdefghijklmnop1234",
    "github_pat_11ABCDEFG0abcdefghij",
    "hf_abcdefghijklmnop",
    "AKIAIOSFODNN7EXAMPLE",
    "AIzaSyA1234567890abcdefghijklmnopqrs",
    "eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl",
    "aB3" * 10,
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "where",
    ["llm.chat.api_key", "llm.chat.api_key_env", "llm.chat.max_tokens", "phase", "version", "name", "sncp", "secret"],
)
def test_a_secret_is_never_in_a_text(kitchen, good: str, secret: str, where: str) -> None:
    as_override = kitchen.refused(good, f"{where}={secret}")
    section, _, key = where.rpartition(".")
    in_file = kitchen.refused(f"llm: {{chat: {{{key}: '{secret}'}}}}\n" if section else f"{where}: '{secret}'\n")
    for error in (as_override, in_file):
        assert secret not in str(error)
        assert "****" in str(error)


@pytest.mark.parametrize(
    "line", ["api_key: hunter2hunter", "password = 'correct horse'", "token: abcdef", "https://me:pw1234@host/"]
)
def test_values_with_a_telling_name_are_masked(line: str) -> None:
    assert mask(line) != line
    assert len(mask(line)) == len(line)


@pytest.mark.parametrize(
    "line",
    [
        "max_tokens: two hundred", "context_tokens: 200000", "api_key_env: OPENAI_API_KEY", "tokenizer: smollm2",
        "root: ../examples/sncp/progetti/quaderno", "api_base: http://127.0.0.1:8000/v1", "keyboard: qwerty-layout",
    ],
)  # fmt: skip
def test_harmless_lines_are_shown(line: str) -> None:
    assert mask(line) == line


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("https://me:pw1234@host/v1", True),
        ("https://t0ken@host/v1", True),
        ("https://host/v1?api_key=abc", True),
        ("https://host/v1?x=1&access-token=abc", True),
        ("http://127.0.0.1:8000/v1", False),
        ("https://host/v1?version=2#a@b", False),
        ("https://host/@scope/v1", False),
    ],
)
def test_a_url_with_a_secret_is_refused(root: Path, url: str, wrong: bool) -> None:
    override = f"llm.chat.api_base={url}"
    if not wrong:
        assert load_recipe(root / "recipes" / "mvp.yaml", overrides=[override]).recipe.llm.chat.api_base == url
        return
    with pytest.raises(RecipeError, match="holds a password"):
        load_recipe(root / "recipes" / "mvp.yaml", overrides=[override])
