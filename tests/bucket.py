"""An S3 server on loopback (moto's), that remembers what it was asked and can be told to fail. For all rooms."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any
from uuid import uuid4

__all__ = ["KEYS", "Storage", "running_storage"]

KEYS = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "not-a-secret-key", "AWS_REGION": "us-east-1"}


class Storage:
    """The server, as a WSGI application around moto's.

    Attributes:
        asked: method and path of each request, in order.
        refuse: called with method and path before a request is done: a status to answer instead, or none.
        after: called with method and path when a request was done and is not answered yet.
    """

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app
        self.url = ""
        self.asked: list[tuple[str, str]] = []
        self.refuse: Callable[[str, str], int | None] = lambda method, path: None
        self.after: Callable[[str, str], None] = lambda method, path: None

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.asked.append((method, path))
        status = self.refuse(method, path)
        if status is not None:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response(f"{status} no", [("Content-Type", "application/xml"), ("Connection", "close")])
            return [f"<Error><Code>E{status}</Code><Message>told to</Message></Error>".encode()]
        body = list(self._app(environ, start_response))
        self.after(method, path)
        return body

    @property
    def environment(self) -> dict[str, str]:
        """Variables of a process that uses it."""
        return {**KEYS, "AWS_ENDPOINT_URL_S3": self.url, "AWS_EC2_METADATA_DISABLED": "true"}

    def new_bucket(self) -> str:
        """Make a bucket; its name."""
        name = f"notes-{uuid4().hex[:12]}"
        self.client.create_bucket(Bucket=name)
        return name

    @cached_property
    def client(self) -> Any:
        """A client of boto3."""
        import boto3

        return boto3.session.Session(
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"], aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
            region_name="us-east-1",
        ).client("s3", endpoint_url=self.url)  # fmt: skip

    def keys(self, bucket: str) -> dict[str, bytes]:
        """Every object of a bucket."""
        client = self.client
        found = client.list_objects_v2(Bucket=bucket).get("Contents", [])
        return {one["Key"]: client.get_object(Bucket=bucket, Key=one["Key"])["Body"].read() for one in found}

    def put_back(self, bucket: str, before: dict[str, bytes]) -> None:
        """Let a bucket hold these objects and no others."""
        for key in self.keys(bucket).keys() - before.keys():
            self.client.delete_object(Bucket=bucket, Key=key)
        for key, body in before.items():
            self.client.put_object(Bucket=bucket, Key=key, Body=body)

    def calm(self) -> None:
        """Fail no more, and forget what was asked."""
        self.refuse, self.after = lambda method, path: None, lambda method, path: None
        self.asked.clear()


@contextmanager
def running_storage() -> Iterator[Storage]:
    """A storage that answers until the block ends."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    storage = Storage(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, storage, threaded=True)
    storage.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield storage
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
