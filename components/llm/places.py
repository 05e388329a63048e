"""Where a model's texts go: whether they stay on this machine, and the connection that keeps them there.

A model stays here when it runs in this process, or when its `api_base` names this machine by a loopback address or a
host that the recipe trusts, and its provider is one that can be given a connection of ours. That connection goes to
that one address: no proxy of the environment, no redirect, no other host.

What this does NOT know: what the program behind a loopback address does with a text (a proxy of one's own that passes
it on to a provider, an SSH tunnel); where a trusted host's name leads to; a workspace on a disk of another machine.
"""

from __future__ import annotations

import atexit
from collections.abc import Collection
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from components.errors import TerminalError
from components.hosts import is_loopback
from components.llm.names import is_remote

__all__ = ["is_here", "leaves_to", "pinned_client", "refuse_local"]

# Provider -> what litellm takes as `client` for it. With others (`ollama/` for embeddings, say) it opens connections
# of its own, through whatever proxy the environment names.
_CLIENTS = {"openai": "openai", "ollama_chat": "handler", "hosted_vllm": "handler"}
_NAMED = 3


def leaves_to(model: str, *, api_base: str | None, trusted_hosts: Collection[str] = ()) -> str | None:
    """Where a text goes that this model is given, in words for people; None: it stays on this machine.

    Only what is written down counts: a name that happens to resolve to a loopback address, short forms of addresses
    and an `api_base` that is left to its default (`ollama/...` without one) all count as away.
    """
    if not is_remote(model):
        return None
    if not api_base:
        return "its provider"
    host, _ = _host(api_base)
    if not is_here(api_base, trusted_hosts):
        return host or "an address that cannot be read"
    provider = model.partition("/")[0] if "/" in model else ""
    if provider not in _CLIENTS:
        known = ", ".join(f"{name}/..." for name in sorted(_CLIENTS))
        return f"{host}, or elsewhere: only {known} can be held to their api_base"
    return None


def is_here(url: str, trusted_hosts: Collection[str] = ()) -> bool:
    """Whether a URL (http, https) names this machine: by a loopback address, `localhost`, or a trusted host."""
    host, plain = _host(url)
    return plain and (is_loopback(host) or host in {name.lower() for name in trusted_hosts})


def refuse_local(local_notes: Collection[str], *, model: str, leaves: str | None) -> None:
    """Raise TerminalError when texts of `local_notes` would leave this machine."""
    if local_notes and leaves:
        names = sorted(set(local_notes))
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        raise TerminalError(
            f"{model} is not on this machine (it goes to {leaves}), and {', '.join(names[:_NAMED])}{more} must not "
            "leave it (privacy: local). Nothing was sent. Use a local model, or set `privacy.when_remote: leave_out` "
            "in the recipe to do without these notes"
        )


def _host(api_base: str) -> tuple[str, bool]:
    """The host of a URL in lower case, and whether the URL is one that everybody reads the same way."""
    try:
        parts = urlsplit(api_base)
        host, _ = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return "", False
    odd = "@" in parts.netloc or "\\" in api_base or any(char.isspace() or ord(char) < 32 for char in api_base)
    return host, parts.scheme in ("http", "https") and bool(host) and not odd


def pinned_client(model: str, *, api_base: str, key: str | None) -> Any:
    """What litellm is given as `client`, so that a call goes to the host of `api_base` and nowhere else.

    For models that `leaves_to` says stay here. `key`: of this call; none is kept.
    """
    client = _pinned_client(model.partition("/")[0], api_base)
    return client.with_options(api_key=key or "none") if hasattr(client, "with_options") else client


@cache
def _pinned_client(provider: str, api_base: str) -> Any:
    """Kept for the life of the process, one for each address."""
    import httpx

    client = httpx.Client(transport=_pinned_transport(api_base), follow_redirects=False)
    atexit.register(client.close)
    if _CLIENTS[provider] == "handler":
        from litellm.llms.custom_httpx.http_handler import HTTPHandler

        return HTTPHandler(client=client)
    import openai

    return openai.OpenAI(api_key="none", base_url=api_base, http_client=client, max_retries=0)


def _pinned_transport(api_base: str) -> Any:
    import httpx

    class Pinned(httpx.HTTPTransport):
        """Connects to one address, whoever asks for another."""

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if (request.url.host, request.url.port) != (wanted.host, wanted.port):
                raise httpx.ConnectError(f"only {wanted.host} may be asked, not {request.url.host}", request=request)
            return super().handle_request(request)

    wanted = httpx.URL(api_base)
    return Pinned(trust_env=False)
