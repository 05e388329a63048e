"""LanceDB is imported without the REST client that it does not need, and the client is whole for whoever asks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLIENT = "lance_namespace_urllib3_client"


def run(code: str) -> list[str]:
    """What a Python of its own prints, line by line."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=300
    )
    return done.stdout.split("\n")[:-1]


def test_an_index_is_written_and_searched_without_the_rest_client(tmp_path: Path) -> None:
    code = f"""
import sys
sys.path.insert(0, "tests/index")
from pathlib import Path
from support import Embedder, cut, note
from components.index import Index
index = Index.open(Path({str(tmp_path)!r}), Embedder())
index.sync(cut(note("a.md", "# Pane\\n\\nIl forno è caldo.\\n")))
print([hit.path for hit in index.search("forno")])
print([name for name in sys.modules if name.startswith("{CLIENT}.") and not name.startswith("{CLIENT}.models")])
"""
    assert run(code) == ["['a.md']", "[]"]


def test_who_asks_for_the_rest_client_later_gets_all_of_it() -> None:
    code = f"""
from components.index.lance import lancedb
lancedb()
import {CLIENT} as client
print(hasattr(client, "__wrapped__"), hasattr(client, "models"))
print(client.TableApi.__module__, client.ApiClient.__module__)
print(hasattr(client, "no_such_name"))
"""
    assert run(code) == ["False True", f"{CLIENT}.api.table_api {CLIENT}.api_client", "False"]


def test_who_imported_lancedb_before_keeps_what_he_has() -> None:
    code = f"""
import lancedb as plain, {CLIENT} as client
from components.index.lance import lancedb
print(lancedb() is plain, "__getattr__" in vars(client), "TableApi" in vars(client))
"""
    assert run(code) == ["True False True"]


def test_threads_that_begin_together_all_get_the_whole_of_it() -> None:
    code = """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from components.index.lance import lancedb
together = Barrier(4)
def ask(_):
    together.wait()
    return lancedb().connect.__name__
with ThreadPoolExecutor(4) as pool:
    print(list(pool.map(ask, range(4))))
"""
    assert run(code) == ["['connect', 'connect', 'connect', 'connect']"]
