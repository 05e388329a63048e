"""Notifications by mail, to a real mail server: with STARTTLS, with TLS, with a login, and what it refuses."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from components.services.notify.deliver import Told, deliver
from components.services.notify.journal import read_journal
from components.services.notify.news import News
from components.services.params import NotifyParams
from tests.services.receivers import Mailbox, certificate, free, mail_server

pytestmark = [
    pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning"),
    pytest.mark.usefixtures("quickly"),
]
needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificate")
NEWS = News(
    event="champion", about="champion:m:1", title="cervella: version 7 was promoted — è in servizio",
    facts={"version": 7, "version_before": None}, look="cervella show r", details="meglio di prima",
)  # fmt: skip
LOGIN = {"CERVELLA_USER": "anna", "CERVELLA_PASSWORD": "pass word of the test"}


def send(folder: Path, port: int, news: News = NEWS, *, within_seconds: float = 8, **more: Any) -> Told:
    values = {"to": ["anna@example.org", "Ivo.B@example.org"], "port": port, "security": "none"} | more
    [told] = deliver(
        news,
        [NotifyParams.model_validate({"email": values})],
        workspace=folder,
        environment=LOGIN,
        within_seconds=within_seconds,
    )
    return told


def test_a_mail_says_who_what_and_how_to_see_more(tmp_path: Path) -> None:
    with mail_server(Mailbox()) as box:
        told = send(tmp_path, box.port)
        assert told.outcome.state == "sent", told
        assert told.receiver == f"mail to anna@example.org, Ivo.B@example.org by 127.0.0.1:{box.port}"
    [mail] = box.mails
    from email.header import decode_header, make_header

    assert str(make_header(decode_header(mail["Subject"]))) == f"[cervella] {NEWS.title}"
    assert (mail["From"], mail["To"]) == ("cervella@localhost", "anna@example.org, Ivo.B@example.org")
    assert mail["Auto-Submitted"] == "auto-generated" and mail["Message-ID"].endswith("@localhost>") and mail["Date"]
    payload = mail.get_payload(decode=True)
    assert isinstance(payload, bytes)
    text = payload.decode()
    assert "version: 7" in text and "See: cervella show r" in text
    assert "meglio" not in text and "version before" not in text


def test_the_same_event_has_the_same_message_id(tmp_path: Path) -> None:
    with mail_server(Mailbox()) as box:
        send(tmp_path / "a", box.port)
        send(tmp_path / "b", box.port)
        send(tmp_path / "b", box.port, News(**{**vars(NEWS), "about": "champion:m:2"}))
    ids = [mail["Message-ID"] for mail in box.mails]
    assert len(ids) == 3 and ids[0] == ids[1] != ids[2]


@needs_openssl
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_login_over_a_protected_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, security: str
) -> None:  # fmt: skip
    trusted, context = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    login = {"user_env": "CERVELLA_USER", "password_env": "CERVELLA_PASSWORD"}
    server = {"starttls": context} if security == "starttls" else {"tls": context}
    with mail_server(Mailbox(), password=LOGIN["CERVELLA_PASSWORD"], **server) as box:  # type: ignore[arg-type]
        told = send(tmp_path, box.port, security=security, **login)
    assert told.outcome.state == "sent", told
    assert box.logins == [("anna", LOGIN["CERVELLA_PASSWORD"])] and len(box.mails) == 1


@needs_openssl
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_that_nobody_trusts_gets_neither_password_nor_mail(tmp_path: Path, security: str) -> None:
    _, context = certificate(tmp_path)
    login = {"user_env": "CERVELLA_USER", "password_env": "CERVELLA_PASSWORD"}
    server = {"starttls": context} if security == "starttls" else {"tls": context}
    with mail_server(Mailbox(), password="x", **server) as box:  # type: ignore[arg-type]
        told = send(tmp_path, box.port, security=security, **login)
    assert (told.outcome.state, told.outcome.tries) == ("failed", 1)
    assert "certificate verify failed" in str(told.outcome.why)
    assert box.mails == [] and box.logins == []


def test_a_server_without_starttls_gets_nothing(tmp_path: Path) -> None:
    with mail_server(Mailbox()) as box:
        told = send(tmp_path, box.port, security="starttls")
    assert told.outcome.state == "failed" and "STARTTLS" in str(told.outcome.why) and box.mails == []


def test_a_wrong_password_is_told_without_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    login = {"user_env": "CERVELLA_USER", "password_env": "CERVELLA_PASSWORD"}
    with mail_server(Mailbox(), password="another") as box:
        told = send(tmp_path, box.port, **login)
    assert (told.outcome.state, told.outcome.tries) == ("failed", 1) and "answers 535" in str(told.outcome.why)
    assert LOGIN["CERVELLA_PASSWORD"] not in caplog.text + str(read_journal(tmp_path))


def test_a_server_that_is_busy_is_asked_again(tmp_path: Path) -> None:
    with mail_server(Mailbox(after_data=("451 later", "250 taken"))) as box:
        told = send(tmp_path, box.port)
    assert (told.outcome.state, told.outcome.tries, len(box.mails)) == ("sent", 2, 1)


def test_who_is_refused_is_told(tmp_path: Path) -> None:
    with mail_server(Mailbox(refuses={"anna@example.org": "550 nobody here"})) as box:
        told = send(tmp_path, box.port)
        assert told.outcome.state == "failed" and str(told.outcome.why).endswith(
            "took it, but not for anna@example.org"
        )
        assert len(box.mails) == 1
    with mail_server(Mailbox(refuses={name: "550 nobody here" for name in ("a@b", "c@d")})) as box:
        told = send(tmp_path / "b", box.port, to=["a@b", "c@d"])
        assert (told.outcome.state, told.outcome.tries) == ("failed", 1)
        assert "takes mail for none of the recipients: 550 nobody here" in str(told.outcome.why)


def test_nobody_there_or_nobody_who_answers(tmp_path: Path) -> None:
    import socket

    told = send(tmp_path, free())
    assert (told.outcome.state, told.outcome.tries) == ("failed", 3) and "cannot be reached" in str(told.outcome.why)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        begun = time.monotonic()
        told = send(tmp_path / "b", mute.getsockname()[1], within_seconds=2)
        assert (told.outcome.state, told.outcome.tries) == ("failed", 1)
        assert time.monotonic() - begun < 60  # who is mute would be waited for without end
