"""Secrets are found wherever a note may hold them; what only stands for one is left alone.

The keys are put together while the tests run: no literal here looks like one.
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.sncp import Collection
from components.sncp.redact import redact

_ALNUM = string.ascii_letters + string.digits
_URL = _ALNUM + "-_"
_HEX = "0123456789abcdef"
_UPPER = string.ascii_uppercase + string.digits

# name -> (pieces of the prefix, length of the body, its letters, pieces of the end)
_SHAPES: dict[str, tuple[tuple[str, ...], int, str, str]] = {
    "anthropic": (("sk", "-ant", "-api03-"), 93, _URL, ""),
    "openai": (("sk", "-proj-"), 48, _ALNUM, ""),
    "openai-old": (("sk", "-"), 48, _ALNUM, ""),
    "openrouter": (("sk", "-or-", "v1-"), 64, _HEX, ""),
    "hugging-face": (("h", "f_"), 34, _ALNUM, ""),
    "github": (("gh", "p_"), 36, _ALNUM, ""),
    "github-fine": (("github", "_pat_"), 82, _ALNUM, ""),
    "gitlab": (("gl", "pat-"), 20, _URL, ""),
    "google": (("AI", "za"), 35, _URL, ""),
    "google-oauth": (("GOC", "SPX-"), 28, _URL, ""),
    "aws-id": (("AK", "IA"), 16, _UPPER, ""),
    "slack": (("xo", "xb-", "123498761234-"), 24, _ALNUM, ""),
    "sendgrid": (("S", "G.", "aB3dE6gH9jK2mN5pQ8sT1v."), 43, _URL, ""),
    "npm": (("np", "m_"), 36, _ALNUM, ""),
    "pypi": (("py", "pi-"), 120, _URL, ""),
    "stripe": (("sk", "_live_"), 24, _ALNUM, ""),
    "stripe-restricted": (("rk", "_live_"), 24, _ALNUM, ""),
    "stripe-public": (("pk", "_live_"), 24, _ALNUM, ""),
    "webhook": (("wh", "sec_"), 32, _ALNUM, ""),
    "groq": (("gs", "k_"), 52, _ALNUM, ""),
    "notion": (("nt", "n_"), 46, _ALNUM, ""),
    "prefect": (("pn", "u_"), 36, _ALNUM, ""),
    "vault": (("hv", "s."), 90, _URL, ""),
    "digitalocean": (("do", "p_v1_"), 64, _HEX, ""),
    "jwt": (("ey", "JhbGciOiJIUzI1NiJ9", ".ey", "JzdWIiOiIx."), 43, _URL, ""),
    "telegram": (("71", "8293645:", "AA"), 33, _URL, ""),
    "discord": (("M", "Tk4NjIyNDgzNDcxOTI1MjQ4", ".Cl2FMQ."), 27, _ALNUM, ""),
    "twilio": (("S", "K"), 32, _HEX, ""),
    "mailchimp": (("", ""), 32, _HEX, "-us12"),
    "azure": (("Account", "Key="), 86, _ALNUM + "+/", "=="),
    "square": (("sq0", "csp-"), 43, _ALNUM, ""),
}
_FORMS = {
    "alone": "{}",
    "prose": "La chiave che uso è {}, non dirlo.",
    "brackets": "(vedi {})",
    "table": "| Servizio | {} | attivo |",
    "bullet": "- **chiave:** `{}`",
    "export": "```bash\nexport X={}\n```",
    "json": '  "chiave": "{}",',
    "link": "[pannello](https://esempio.it/?k={})",
    "quote": "> {}",
}


def _key(name: str, seed: int = 0) -> str:
    prefix, length, letters, end = _SHAPES[name]
    chance = random.Random(f"{name}{seed}")  # noqa: S311
    return "".join(prefix) + "".join(chance.choice(letters) for _ in range(length)) + end


@pytest.mark.parametrize("form", _FORMS.values(), ids=_FORMS)
@pytest.mark.parametrize("name", _SHAPES)
def test_keys_of_many_makers_are_masked(name: str, form: str) -> None:
    key = _key(name)
    text = form.format(key)
    masked, findings = redact(text, path="a.md")
    assert key[-16:] not in masked and findings
    assert masked.count("\n") == text.count("\n")
    assert all(key not in item.masked and key[-6:] not in item.masked for item in findings)


def test_hardly_any_random_key_passes_as_a_placeholder() -> None:
    missed = [(name, seed) for name in _SHAPES for seed in range(100) if not redact(_key(name, seed), path="a")[1]]
    assert len(missed) <= len(_SHAPES) * 100 // 200, missed


_PASSWORD_FORMS = [
    "password: {}",
    "**Password:** `{}`",
    "| Password | {} |",
    "- PASSWORD={}",
    "La password del wifi è {}",
    "La password del server è {}, non dirla.",
    "La password dell'utente admin è {}.",
    "La password della cassaforte grande è {}",
    "La password di Rosa è {}",
    "the password for the guest wifi router is {}",
    "the password of the server is {}",
    "la password è: {}",
    'db_password = "{}"',
    "pwd: {}",
    '{{"password": "{}"}}',
    "postgres://admin:{}@db.local/x",
    "redis://:{}@cache",
    "MYSQL_ROOT_PASSWORD={}",
    'dbPassword: "{}"',
    "mysql --password {}",
    "the password is {}",
]


@pytest.mark.parametrize("form", _PASSWORD_FORMS)
@pytest.mark.parametrize(
    "pieces", [("S3gr", "3t!x9"), ("Mira", "collo2026"), ("hotel-", "Estate2026!"), ("aB3$", "kL9q")]
)
def test_passwords_are_masked(form: str, pieces: tuple[str, str]) -> None:
    password = "".join(pieces)
    masked, findings = redact(form.format(password), path="a.md")
    assert password not in masked
    assert [item.masked for item in findings] == [f"…({len(password)})"]


def test_secret_of_aws_is_masked_beside_its_id() -> None:
    chance = random.Random(3)  # noqa: S311
    secret = "".join(chance.choice(_ALNUM + "/+") for _ in range(40))
    masked, _ = redact(f"id {_key('aws-id')}\n\nsegreto {secret}\n", path="a.md")
    assert secret not in masked
    assert redact(f"sha1 e altro {secret}", path="a.md")[0].endswith(secret)


@pytest.mark.parametrize("head", ["", "RSA ", "OPENSSH ", "EC ", "ENCRYPTED "])
@pytest.mark.parametrize("shape", ["block", "no end", "quoted", "one line"])
def test_private_keys_are_masked_line_by_line(head: str, shape: str) -> None:
    chance = random.Random(head)  # noqa: S311
    body = ["".join(chance.choice(_ALNUM + "+/") for _ in range(64)) for _ in range(8)]
    lines = [f"-----BEGIN {head}PRIVATE" + " KEY-----", *body, f"-----END {head}PRIVATE" + " KEY-----"]
    text = {
        "block": "prima\n" + "\n".join(lines) + "\ndopo",
        "no end": "prima\n" + "\n".join(lines[:-1]) + "\n\ndopo",
        "quoted": "prima\n" + "\n".join(f"> {line}" for line in lines) + "\ndopo",
        "one line": 'prima "' + "\\n".join(lines) + '" dopo',
    }[shape]
    masked, findings = redact(text, path="a.md")
    assert not any(line in masked for line in body)
    assert masked.startswith("prima") and masked.endswith("dopo")
    assert masked.count("\n") == text.count("\n")
    assert [item.rule for item in findings] == ["private-key"]


@pytest.mark.parametrize(
    "text",
    [
        "ANTHROPIC_API_KEY=sk-ant-api03-your-key-here",
        'export ANTHROPIC_API_KEY="sk-ant-..."',
        "SBAGLIATO: API_KEY=sk-xxx",
        "sk-" + "x" * 48,
        "hf_" + "X" * 34,
        "sk-proj-" + "abcdefghijklmnopqrstuvwxyz0123456789",
        "api_key: <your-key>",
        "password: ${DB_PASSWORD}",
        "password=$DB_PASSWORD",
        "password=YOUR_PASSWORD_1",
        "password: ********",
        "password: password123",
        "Password: stringa lunga",
        "La password è obbligatoria, min. 8 caratteri",
        "La password del server è obbligatoria.",
        "La password della cassaforte è nella nota di Rosa.",
        "La password del server va cambiata entro 90 giorni, è vecchia-2024-01.",
        "the password of the server is required",
        "the token for the build server is rotated monthly",
        "AKIA" + "IOSFODNN7EXAMPLE",
        "postgres://user:password@localhost/db",
        "mongodb://root:example@mongo",
        "http://localhost:3000/@scope/pkg",
        "token: max_tokens=1500",
        "| Token | 1.250.000 |",
        "1380 token = EFFICACE (POC Week 2: 100%)",
        "| `token` |\n| `TEST_FASE6_AI.md` | NEW |",
        "secret = getSecret('x1')",
        "const API_KEY = process.env.BINANCE_API_KEY2;",
        "QDRANT_API_KEY=$(openssl rand -hex 32)",
        '--set-secrets="ANTHROPIC_API_KEY=anthropic-api-key:latest"',
        "Authorization: Bearer <api_key>",
        'headers={"Authorization": f"Bearer {API_TOKEN}"}',
        "commit 3f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a",
        "id 123e4567-e89b-12d3-a456-426614174000",
        "APERTURA STRAORDINARIA, AP2026bis",
        "[Token Count](https://medium.com/@x/every-token-count-078a2d1c7e03)",
        "-----BEGIN RSA PRIVATE" + " KEY-----\n...\n-----END RSA PRIVATE" + " KEY-----",
        '"api_key": r"(sk-[a-zA-Z0-9]{32,}|pk-[a-zA-Z0-9]{32,})"',
        "pass: 8/8, 100%",
    ],
)
def test_placeholders_and_prose_are_left_alone(text: str) -> None:
    assert redact(text, path="a.md") == (text, [])


def test_finding_says_where_without_saying_what() -> None:
    key = _key("anthropic")
    masked, (finding,) = redact(f"uno\n\ntre {key} fine\n", path="x/a.md")
    assert masked == "uno\n\ntre [REDACTED:anthropic-key] fine\n"
    assert (finding.path, finding.line, finding.masked) == ("x/a.md", 3, f"sk-a…({len(key)})")


@given(st.lists(st.one_of(st.sampled_from(["\n", " ", "password: ", "| ", "://a:", "@h", *map(_key, _SHAPES)]),
                          st.text(max_size=12)), max_size=20).map("".join))  # fmt: skip
def test_lines_stay_and_a_second_pass_finds_nothing_whole(text: str) -> None:
    masked, findings = redact(text, path="a.md")
    assert masked.count("\n") == text.count("\n")
    assert (masked != text) == bool(findings)
    again, _ = redact(masked, path="a.md")
    assert all(mark in again for mark in re.findall(r"\[REDACTED:[\w-]+\]", masked))


def test_long_lines_are_searched_to_their_end() -> None:
    chance = random.Random(1)  # noqa: S311
    picture = "".join(chance.choice(_ALNUM + "+/") for _ in range(100_000))
    key = _key("github")
    for at in (7_990, 8_001, 50_000, 99_000):
        assert key not in redact(f"{picture[:at]} {key} {picture[at:]}", path="a.md")[0]


def test_quarantine_leaves_the_note_out(notes: Callable[..., Path], read: Callable[..., Collection]) -> None:
    key = _key("stripe")
    root = notes({"a.md": f"# A\n{key}\n", "b.md": "# B\n"})
    collection = read(root, redact="quarantine")
    assert [document.path for document in collection.documents] == ["b.md"]
    (skipped,) = collection.skipped
    assert skipped.path == "a.md" and "stripe-key in line 2" in skipped.reason
    assert key[8:] not in str(collection.to_dict())


def test_no_part_of_a_collection_holds_the_secret(notes: Callable[..., Path], read: Callable[..., Collection]) -> None:
    key = _key("openai")
    root = notes({f"n{number}.md": text for number, text in enumerate([
        f"# Titolo {key}\n", f"---\ntitle: {key}\nproject: {key}\n---\nx\n", f"# X\nSostituisce: {key}\n",
        f"# Y\n<!-- {key} -->\n", f"# Z\n{key[:20]}\u200b{key[20:]}\n",
    ])})  # fmt: skip
    collection = read(root)
    assert key[10:30] not in str(collection.to_dict())
    assert {item.path for item in collection.findings} == {f"n{number}.md" for number in range(5)}
