"""False alarms: the real notes, and the documentation of every package that is installed."""

from __future__ import annotations

import sysconfig
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from components.sncp.params import PersonalData
from components.sncp.redact import redact, redact_names

# All that is found in the real notes with every kind of personal data switched on: they hold no live key, every
# address and number here is one. Places, never what stands there.
_REAL = {
    "RICERCA_20260115_TOS_LEGAL_COMPLETA.md": [
        (line, "email") for line in (313, 341, 342, 546, 745, 763, 785, 808, 852, 853, 856, 882, 1224)
    ],
    "ANALISI_AUTH_ATTUALE.md": [(398, "email")],
    "20260114_RICERCA_SCIDOO.md": [(303, "email")],
    "20260114_AUDIT_DIRECT_BOOKING.md": [(79, "email")],
    "FASE6_AI_SUMMARY.md": [(152, "email")],
    "TEST_20260114_whatsapp_audit.md": [(194, "phone"), (206, "phone")],
}


@pytest.fixture(scope="module")
def real(shared: Path) -> dict[str, str]:
    root = shared / "data" / "sncp"
    return {file.relative_to(root).as_posix(): file.read_text(encoding="utf-8") for file in sorted(root.rglob("*.md"))}


def test_no_placeholder_of_the_real_notes_is_a_secret(real: dict[str, str]) -> None:
    found = [(path, item.line, item.rule) for path, text in real.items() for item in redact(text, path=path)[1]]
    assert found == []
    assert redact_names(real) == {}
    # There is something to be wrong about: lines that name keys, tokens and passwords.
    telling = ("sk-ant-", "API_KEY=", "Password:", "Bearer", "sk_live_", "AKIA")
    lines = [line for text in real.values() for line in text.split("\n") if any(word in line for word in telling)]
    assert len(lines) > 20


def test_personal_data_of_the_real_notes(real: dict[str, str]) -> None:
    found: dict[str, list[tuple[int, str]]] = {}
    for path, text in real.items():
        _, findings = redact(text, path=path, personal_data=get_args(PersonalData))
        if findings:
            found[path.rsplit("/", 1)[-1]] = [(item.line, item.rule) for item in findings]
    assert found == _REAL
    assert Counter(rule for places in found.values() for _, rule in places) == {"email": 17, "phone": 2}


@pytest.mark.slow
def test_hardly_anything_in_the_documentation_of_packages_is_a_secret() -> None:
    """Megabytes of prose about keys and passwords, none of them anybody's: at most one alarm a megabyte."""
    folder = Path(sysconfig.get_paths()["purelib"])
    files = [
        file
        for file in sorted(folder.rglob("*"))
        if (file.suffix in (".md", ".rst") or file.name in ("METADATA", "README")) and file.is_file()
    ]
    seen: set[int] = set()
    size, found = 0, []
    for file in files:
        text = file.read_text(encoding="utf-8", errors="replace")
        if hash(text) in seen or len(text) > 2_000_000:
            continue
        seen.add(hash(text))
        size += len(text)
        found += [(file.relative_to(folder).as_posix(), item.line, item.rule) for item in redact(text, path="")[1]]
    assert size > 1_000_000
    assert len(found) <= max(3, size // 1_000_000), found
