"""The objects under one address of an S3 bucket: read, write, list, remove, with errors for people.

Endpoint, region and credentials are those of the environment and of AWS's own files (AWS_ENDPOINT_URL, AWS_REGION,
AWS_ACCESS_KEY_ID, AWS_PROFILE, ...); nothing of them is in a recipe. This module alone imports boto3, when it is used.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from components.errors import TerminalError, TransientError
from components.llm.at_once import ask_at_once
from components.llm.places import is_here

__all__ = ["Bucket", "Changed", "Missing", "endpoint_url", "split_address", "with_each"]

_SECONDS_TO_CONNECT, _SECONDS_TO_READ, _TRIES = 5, 60, 3
_PIECE = 1 << 20  # bytes read at once
_AT_ONCE = 1000  # objects that one request removes
_THREADS = 8

_ACCESS = {
    "AccessDenied", "AllAccessDisabled", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch",
    "403", "Forbidden", "AccountProblem",
}  # fmt: skip
_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301", "400"}
_BUSY = {"SlowDown", "RequestTimeout", "ServiceUnavailable", "InternalError", "Throttling", "429"}


class Missing(TerminalError):
    """There is no such object."""


class Changed(TerminalError):
    """Somebody else has written the object meanwhile."""


def split_address(address: str) -> tuple[str, str]:
    """`s3://BUCKET/PREFIX` as the bucket's name and the prefix of its keys, which ends with `/` or is empty."""
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    prefix = prefix.strip("/")
    return bucket, f"{prefix}/" if prefix else ""


def with_each(
    digests: Sequence[str], do: Callable[[str], object], *, progress: Callable[[int, int], None] | None
) -> None:
    """Do it with each object, as many at a time as there are connections; `progress` is told (done, all).

    What one raises ends it, when those under way have ended.
    """
    for _ in ask_at_once(digests, do, at_once=_THREADS, progress=progress or (lambda done, total: None)):
        pass


def endpoint_url() -> str | None:
    """Where S3 is asked as the environment says; none: as AWS's own files say, or Amazon's own."""
    if os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return None
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None


class Bucket:
    """What lies under an address. Names are keys without its prefix. May be used by several threads.

    Storage on this machine is asked by no proxy of the environment.
    """

    def __init__(self, address: str, *, trusted_hosts: Collection[str] = ()) -> None:
        """`trusted_hosts`: hosts of an endpoint that count as this machine."""
        self.address = address
        self.is_here = is_here(endpoint_url() or "", trusted_hosts)
        self._bucket, self._prefix = split_address(address)
        with self._told():
            settings = frozenset(item for item in os.environ.items() if item[0].startswith("AWS_"))
            self._client = _client(settings, by_proxy=not self.is_here)

    def read(self, name: str, *, unless: str | None = None) -> tuple[bytes, str] | None:
        """The bytes of a small object and its ETag; none when its ETag is still `unless`.

        Raises:
            Missing: there is none.
        """
        condition = {"IfNoneMatch": unless} if unless else {}
        with self._told(name):
            from botocore.exceptions import ClientError

            try:
                found = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name, **condition)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 304:
                    return None
                raise
            return found["Body"].read(), str(found["ETag"])

    def fetch(self, name: str, path: Path) -> tuple[str, int]:
        """Write an object to a file, flushed to disk; the SHA-256 (hex) and the number of the bytes that came.

        Raises:
            Missing: there is none.
        """
        digest, size = hashlib.sha256(), 0
        with self._told(name):
            body = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"]
            with path.open("wb") as file:
                for piece in body.iter_chunks(_PIECE):
                    digest.update(piece)
                    size += len(piece)
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
        return digest.hexdigest(), size

    def put_file(self, name: str, path: Path, *, sha256: str) -> None:
        """Upload a file: the whole object is there afterwards, or nothing of it. The bucket checks its digest (hex)."""
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
        with self._told(name), path.open("rb") as file:
            self._client.put_object(
                Bucket=self._bucket, Key=self._prefix + name, Body=file, ChecksumAlgorithm="SHA256",
                ChecksumSHA256=checksum,
            )  # fmt: skip

    def replace(self, name: str, data: bytes, *, instead_of: str | None) -> str:
        """Write a small object in the place of the one with the ETag `instead_of`, none: of none; its new ETag.

        Storage that knows no conditional writes gets a plain one.

        Raises:
            Changed: another one is there.
        """
        condition = {"IfMatch": instead_of} if instead_of else {"IfNoneMatch": "*"}
        place = {"Bucket": self._bucket, "Key": self._prefix + name}
        with self._told(name):
            from botocore.exceptions import ClientError

            try:
                made = self._client.put_object(**place, Body=data, ContentType="application/json", **condition)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] != 501:
                    raise
                made = self._client.put_object(**place, Body=data, ContentType="application/json")
            return str(made["ETag"])

    def sizes(self, folder: str) -> dict[str, int]:
        """Names of the objects below a folder -> bytes."""
        found: dict[str, int] = {}
        with self._told(folder):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=f"{self._prefix}{folder}/"
            )
            for page in pages:
                for entry in page.get("Contents", []):
                    found[str(entry["Key"]).removeprefix(self._prefix)] = int(entry["Size"])
        return found

    def remove(self, names: Sequence[str]) -> None:
        """Remove objects; those that are not there any more are as well as removed."""
        for start in range(0, len(names), _AT_ONCE):
            some = [{"Key": self._prefix + name} for name in names[start : start + _AT_ONCE]]
            with self._told():
                told = self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": some, "Quiet": True})
            if refused := told.get("Errors"):
                raise TerminalError(
                    f"{self.address}: {len(refused)} objects could not be removed ({refused[0].get('Code')}): the key "
                    "needs the right s3:DeleteObject there"
                )

    def keeps_versions(self) -> bool:
        """Whether the bucket keeps what is removed or overwritten as an older version, as far as one may know it."""
        from botocore.exceptions import ClientError

        try:
            return bool(self._client.get_bucket_versioning(Bucket=self._bucket).get("Status"))
        except ClientError:
            return False

    @contextmanager
    def _told(self, name: str = "") -> Iterator[None]:
        """What boto3 raises, told for people. No key and no signature is in these texts."""
        from botocore import exceptions as aws

        where = f"{self.address.rstrip('/')}/{name}" if name else self.address
        at = f" at {url}" if (url := endpoint_url()) else ""
        try:
            yield
        except aws.ClientError as error:
            raise self._refused(error.response, where, at) from error
        except (aws.NoCredentialsError, aws.PartialCredentialsError, aws.CredentialRetrievalError) as error:
            raise TerminalError(
                f"{where}: there are no credentials for it{at} ({error}). Set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; the recipe never holds them"
            ) from error
        except (aws.ProfileNotFound, aws.ConfigParseError, aws.ParamValidationError, aws.NoRegionError) as error:
            raise TerminalError(f"{where}: the settings of AWS cannot be used: {error}") from error
        except aws.BotoCoreError as error:
            raise TransientError(f"{where} cannot be reached{at}: {_words(error)}") from error
        except ValueError as error:  # an endpoint that is no URL
            raise TerminalError(
                f"{where}: {error}. Expected in AWS_ENDPOINT_URL: http(s)://HOST:PORT, or leave it out for Amazon S3"
            ) from error

    def _refused(self, answer: dict[str, Any], where: str, at: str) -> Exception:
        status, code = int(answer["ResponseMetadata"]["HTTPStatusCode"]), str(answer["Error"].get("Code", ""))
        if code == "NoSuchBucket":
            return TerminalError(f"there is no bucket {self._bucket}{at}: make it, or mend the address {self.address}")
        if status == 404:
            return Missing(f"there is no object {where}{at}")
        if status in (409, 412):
            return Changed(f"{where} was written by somebody else meanwhile")
        if status >= 500 or status == 429 or code in _BUSY:
            return TransientError(f"{where}: the storage{at} answers {status} ({code})")
        told = f"{where}: the storage{at} refuses it ({status} {code}: {answer['Error'].get('Message', '')})"
        if status == 403 or code in _ACCESS:
            return TerminalError(
                f"{told}. Look at AWS_ACCESS_KEY_ID or AWS_PROFILE, and at the key's rights: a reader needs "
                "s3:GetObject and s3:ListBucket, who writes also s3:PutObject and s3:DeleteObject"
            )
        if code in _REGION:
            return TerminalError(f"{told}. Name the bucket's region in AWS_REGION")
        return TerminalError(told)


@lru_cache(maxsize=2)  # making one reads megabytes of descriptions
def _client(settings: frozenset[tuple[str, str]], *, by_proxy: bool) -> Any:
    """A client with the settings of the environment. Storage elsewhere may have no names such as BUCKET.HOST."""
    import boto3
    from botocore.config import Config

    style = {"addressing_style": "path"} if endpoint_url() else {}
    config = Config(
        connect_timeout=_SECONDS_TO_CONNECT, read_timeout=_SECONDS_TO_READ, max_pool_connections=_THREADS,
        retries={"total_max_attempts": _TRIES, "mode": "standard"}, s3=style, proxies=None if by_proxy else {},
    )  # fmt: skip
    return boto3.session.Session().client("s3", config=config, endpoint_url=endpoint_url())


def _words(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
