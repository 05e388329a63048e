"""Receivers of notifications that run in the test: a web server, and a mail server with or without TLS."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult


class Web:
    """Takes POSTs. `answers`: statuses, in order, the last one for all that follow; 0: it never answers."""

    def __init__(self, *, answers: tuple[int, ...] = (200,), headers: dict[str, str] | None = None) -> None:
        self.answers, self.headers = list(answers), headers or {}
        self.got: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.ids: list[str] = []
        self.closing = threading.Event()
        guard = threading.Lock()
        here = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with guard:
                    here.got.append(body)
                    here.paths.append(self.path)
                    here.ids.append(str(self.headers["Idempotency-Key"]))
                    status = here.answers.pop(0) if len(here.answers) > 1 else here.answers[0]
                if status == 0:
                    here.closing.wait(30)
                    return
                self.send_response(status)
                for name, value in here.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(f"no_service for {self.path}".encode())

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hooks/T0/secret-of-the-hook"

    @property
    def told(self) -> list[dict[str, Any]]:
        """Our part of what came."""
        return [one["cervella"] for one in self.got]

    def soon(self, number: int, *, seconds: float = 300.0) -> list[dict[str, Any]]:
        """What came, once there are so many, or when the time is over."""
        deadline = time.monotonic() + seconds
        while len(self.got) < number and time.monotonic() < deadline:
            time.sleep(0.1)
        return self.told


@contextmanager
def web(*, answers: tuple[int, ...] = (200,), headers: dict[str, str] | None = None) -> Iterator[Web]:
    """A web server that listens while the block runs."""
    here = Web(answers=answers, headers=headers)
    thread = threading.Thread(target=here.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield here
    finally:
        here.closing.set()
        here.server.shutdown()
        thread.join()
        here.server.server_close()


class Mailbox:
    """What a mail server took. `refuses`: what it answers to RCPT of an address; `after_data`: to the mail itself."""

    def __init__(self, *, refuses: dict[str, str] | None = None, after_data: tuple[str, ...] = ("250 taken",)) -> None:
        self.refuses, self.after_data = refuses or {}, list(after_data)
        self.mails: list[Message] = []
        self.logins: list[tuple[str, str]] = []
        self.port = 0

    async def handle_RCPT(self, server: SMTP, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address in self.refuses:
            return self.refuses[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:
        answer = self.after_data.pop(0) if len(self.after_data) > 1 else self.after_data[0]
        if answer.startswith("250"):
            self.mails.append(message_from_bytes(envelope.content))
        return answer


@contextmanager
def mail_server(
    mailbox: Mailbox, *, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None, password: str = ""
) -> Iterator[Mailbox]:
    """A mail server that listens while the block runs; with `password` it wants a login first."""

    def login(server: SMTP, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        mailbox.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password.decode() == password, handled=False)

    controller = Controller(
        mailbox, hostname="127.0.0.1", port=free(), ssl_context=tls, tls_context=starttls,
        require_starttls=starttls is not None, auth_require_tls=starttls is not None, authenticator=login,
        auth_required=bool(password),
    )  # fmt: skip
    controller.start()
    mailbox.port = controller.port
    try:
        yield mailbox
    finally:
        controller.stop()


def free() -> int:
    """A port that nobody has now."""
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1 that nobody has signed, and a server's context with it. Needs `openssl`."""
    key, made = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(made)],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made, key)
    return made, context
