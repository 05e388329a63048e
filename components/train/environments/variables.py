"""Which variables of ours a program of an installation, or of an environment, gets; passwords in addresses masked.

**Not covered**: what a package that comes as source does while uv builds it. It sees what uv needs, thus the password
of a package index.
"""

from __future__ import annotations

import os
import re

from components.train.running.process import OF_THE_HUB, QUIET, SECRET, handed_on

__all__ = ["for_uv", "masked", "needed"]

_USER_OF_ADDRESS = re.compile(r"(?<=://)[^/?#\s]*@")
_NEEDED = {
    "CC", "CURL_CA_BUNDLE", "CXX", "HOME", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "LD_PRELOAD", "LIBRARY_PATH",
    "LOGNAME", "PATH", "REQUESTS_CA_BUNDLE", "SHELL", "SSL_CERT_DIR", "SSL_CERT_FILE", "TMPDIR", "TZ", "USER",
}  # fmt: skip
_NEEDED_OF = (
    "AXOLOTL_", "CUDA", "DNNL_", "GLOO_", "GOMP_", "HF_", "KMP_", "LC_", "LLAMAFACTORY_", "MALLOC_", "MKL_", "NCCL_",
    "NIX_", "NUMEXPR_", "NVIDIA_", "OMP_", "ONEDNN_", "OPENBLAS_", "PYTORCH_", "TORCH", "TRANSFORMERS_", "TRITON_",
    "UNSLOTH_", "VLLM_", "XDG_",
)  # fmt: skip
_PROXIES = ("all_proxy", "http_proxy", "https_proxy", "no_proxy")


def masked(text: str) -> str:
    """`text` with **** in place of user and password of each address."""
    return _USER_OF_ADDRESS.sub("****@", text)


def needed(*, hub: bool = False) -> dict[str, str]:
    """Variables that a program of hundreds of packages may need, no others: any other may hold a secret of the user's.

    Whatever speaks of a key or a password is left out, and an address with a password. `hub`: it may need the hub's
    token and the proxy, since it takes its model from there.
    """
    kept = {
        name: value for name, value in os.environ.items()
        if (name in _NEEDED or name.startswith(_NEEDED_OF)) and not SECRET.search(name) and masked(value) == value
    }  # fmt: skip
    if hub:
        kept |= {name: value for name, value in os.environ.items() if name in OF_THE_HUB or _is_proxy(name)}
    return kept | QUIET


def for_uv() -> dict[str, str]:
    """Variables for uv: its own and the proxy's as they are, of the rest all but secrets, which builds might need."""
    kept = handed_on(hub=False)
    own = {name: value for name, value in os.environ.items() if name.startswith("UV_") or _is_proxy(name)}
    return {
        **{name: value for name, value in kept.items() if name != "PYTHONSTARTUP" and masked(value) == value},
        **{name: value for name, value in own.items() if not name.startswith("UV_PUBLISH_")},
    }  # fmt: skip


def _is_proxy(name: str) -> bool:
    return name.lower() in _PROXIES
