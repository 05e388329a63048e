"""Who is to be told, in a recipe: receivers that cannot be, faults that show no secret, and what doctor finds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from components.errors import InputError
from components.recipe import load_recipe
from components.services.doctor_notify import check_notify
from components.services.notify.deliver import deliver
from components.services.params import ExecutionParams, NotifyParams
from components.store import FileLock
from tests.services.news import NEWS, to
from tests.services.receivers import free

pytestmark = pytest.mark.usefixtures("quickly")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        pytest.param({}, "exactly one of webhook, webhook_env and email", id="nobody"),
        pytest.param({"webhook": "https://a/", "webhook_env": "A"}, "exactly one of", id="two ways"),
        pytest.param({"webhook": "hooks.example/x"}, "begins with https:// or http://", id="no scheme"),
        pytest.param({"webhook": "https:///x"}, "begins with https:// or http://", id="no machine"),
        pytest.param({"webhook": "https://a:99999/"}, "begins with https:// or http://", id="no port"),
        pytest.param({"webhook": "https://a/", "on": []}, "at least 1 item", id="of nothing"),
        pytest.param({"webhook": "https://a/", "on": ["success"]}, "'failure', 'refused'", id="no such event"),
        pytest.param({"email": {"to": ["anna"]}}, "such as anna@example.org", id="no address"),
        pytest.param({"email": {"to": ["a@b\nBcc: c@d"]}}, "such as anna@example.org", id="a header in an address"),
        pytest.param({"email": {"to": ["a@b"], "user_env": "U"}}, "both of user_env and password_env", id="half"),
        pytest.param(
            {"email": {"to": ["a@b"], "user_env": "U", "password_env": "P", "security": "none", "host": "box"}},
            "unprotected to another machine", id="password in the open",
        ),
        *(
            pytest.param(
                {"email": {"to": ["a@b"], "user_env": "U", "password_env": "P", "security": "none", "host": host}},
                "unprotected to another machine", id=f"password to {host}",
            )
            for host in ("localhost.evil.example", "127.evil.example", "::1.evil")
        ),
        pytest.param({"webhook_env": "https://a/T0/B0"}, "not what is in it", id="the address for its variable"),
        pytest.param({"email": {"to": ["a@b"], "user_env": "U", "password_env": "p w"}}, "not what is in it", id="pw"),
    ],
)  # fmt: skip
def test_receivers_that_cannot_be(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as raised:
        NotifyParams.model_validate(values)
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("way", "shown"),
    [
        ("webhook_env: https://a.example/T0/sesame", False),
        ('{webhook: "https://a.example/sesame", webhookk: 1}', False),
        ("{webhook: a.example/sesame}", False),
        ("{email: {to: [a@b], user_env: 'my sesame', password_env: P}}", False),
        ("{webhook_env: SESAME_HOOK, webhookk: 1}  # sesame", True),
    ],
    ids=["for its variable", "beside a fault", "no address", "a name with a space", "a variable"],
)
def test_a_fault_of_a_recipe_shows_no_address_that_may_be_a_secret(tmp_path: Path, way: str, shown: bool) -> None:
    (tmp_path / "r.yaml").write_text(f"name: r\nphase: reindex\nexecution:\n  notify:\n    - {way}\n")
    with pytest.raises(InputError, match=r"r.yaml:5:\d+: execution.notify") as raised:
        load_recipe(tmp_path / "r.yaml")
    assert ("sesame" in str(raised.value).casefold()) is shown


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_this_machine_may_get_a_password_in_the_open(host: str) -> None:
    mail = {"to": ["a@b"], "user_env": "U", "password_env": "P", "security": "none", "host": host}
    assert NotifyParams.model_validate({"email": mail})


def test_a_name_that_begins_like_this_machine_is_another(tmp_path: Path) -> None:
    [found] = check_notify([to("http://localhost.evil.example/x")], workspace=tmp_path)
    assert found.says == "localhost.evil.example is told without protection of the connection"


def test_doctor_tells_what_is_missing(tmp_path: Path) -> None:
    mail = {"to": ["a@b"], "user_env": "U", "password_env": "P", "host": "box"}
    receivers = ExecutionParams.model_validate(
        {"notify": [{"webhook_env": "HOOK"}, {"email": mail}, {"webhook": "http://box/x"}]}
    ).notify
    assert list(check_notify([], workspace=tmp_path)) == []
    found = list(check_notify(receivers, workspace=tmp_path, environment={"HOOK": "https://x/", "U": "anna"}))
    assert [check.level for check in found] == ["warning", "warning"]
    assert found[0].says.startswith("execution.notify[1].email.password_env names P, which is not set")
    assert found[1].says == "box is told without protection of the connection"
    good = {"HOOK": "https://x/", "U": "anna", "P": "secret"}
    assert [check.says for check in check_notify(receivers[:2], workspace=tmp_path, environment=good)] == [
        "2 to be told"
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_doctor_knows_what_up_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from components.services.supervisor.board import Board

    Board(tmp_path).tell("prefect", state="up")
    lock = FileLock(tmp_path / "services" / "keeper.lock")
    assert lock.try_exclusive()
    try:
        receivers = [NotifyParams(webhook_env="CERVELLA_TEST_HOOK"), NotifyParams(webhook_env="PATH")]
        here = {"CERVELLA_TEST_HOOK": "https://x/", "PATH": "https://y/"}  # this process was started without the first
        [found] = check_notify(receivers, workspace=tmp_path, environment=here)
        assert "which is not set where cervella up was called" in found.says and "CERVELLA_TEST_HOOK" in found.says
    finally:
        lock.close()


def test_doctor_tells_what_did_not_arrive(tmp_path: Path) -> None:
    receiver = to(f"http://127.0.0.1:{free()}/x")
    deliver(NEWS, [receiver], workspace=tmp_path)
    [found] = check_notify([receiver], workspace=tmp_path)
    assert found.level == "warning" and "1 of the last 20 were not told" in found.says
