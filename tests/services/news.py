"""A piece of news with a secret in its details, and a receiver by webhook, for the tests of notifications."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha512
from typing import Any

from components.services.notify.news import News
from components.services.params import NotifyParams

KEY = (
    "sk-ant-api03-"
    + b64encode(sha512(b"no key at all").digest()).decode().replace("/", "a").replace("+", "b")[:80]
    + "AA"
)
NEWS = News(
    event="failure", about="run:1", title="reindex: it failed in index.build",
    facts={"recipe": "reindex", "run": "20260101-030000-reindex-ab12", "step": "index.build"},
    look="cervella show 20260101-030000-reindex-ab12", link="http://127.0.0.1:4200/runs/flow-run/1",
    details=f"notes/salary.md:3: <!channel> the key {KEY} of @everyone\nis wrong",
)  # fmt: skip


def to(url: str, **more: Any) -> NotifyParams:
    return NotifyParams(webhook=url, **more)
