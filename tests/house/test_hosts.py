"""Which names and addresses are this machine's own."""

from __future__ import annotations

import pytest

from components.hosts import is_loopback


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.9.9.9", "localhost", "LOCALHOST", "::1", "[::1]", "::ffff:127.0.0.1"]
)
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "", "0.0.0.0", "10.0.0.1", "::", "localhost.", "localhost.evil.com", "evil.com", "127.0.0.1.x", "127.1",
        "2130706433", "64:ff9b::7f00:1",
    ],
)  # fmt: skip
def test_not_this_machine(host: str) -> None:
    assert not is_loopback(host)
