"""The socket that the process of a Prefect server listens on."""

from __future__ import annotations

from components.services.prefect_process import _bound
from tests.nagle import sends_at_once


def test_no_call_of_the_api_waits_until_a_head_was_acknowledged() -> None:
    assert sends_at_once(_bound(0))
