"""Vectors of a forgotten text: those of former embedders go too, although nothing sealed names them any more."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.index.published import Publication, Published, write_published
from components.llm import load_embedder
from components.llm.cache import CacheFile
from components.llm.counting import ids_of_engines, local_embedder_id
from components.llm.embedder import vector_key
from components.recipe.forget import Forgetting
from components.recipe.model import Recipe
from components.store.purge import Words

SECRET, KEPT = "una parola segreta", "una parola qualunque"
E5 = "local/multilingual-e5-small@0.3.0"


def forgotten(workspace: Path, *, told: str, kept: str, model: str = "fake/embedding") -> bool:
    """Whether vectors that `kept` made are gone, where the history of the index tells of `told`."""
    recipe = Recipe.model_validate({
        "name": "casa", "phase": "reindex", "workspace": str(workspace), "sncp": {"root": str(workspace.parent)},
        "index": {"embedding": {"model": model}},
    })  # fmt: skip
    publication = Publication(1, "2026-11-01T03:00:00+00:00", "reindex", 1, "d", "chunks-0123456789abcdef", told, 2, 1)
    (workspace / "index").mkdir(parents=True)
    write_published(workspace / "index", Published(None, "", {}, (publication,)))
    cache = CacheFile(workspace / "cache" / "embeddings.sqlite")
    keys = {text: vector_key(kept, text, "passage") for text in (SECRET, KEPT)}
    cache.put(dict.fromkeys(keys.values(), b"vector"))
    cache.close()
    forgetting = Forgetting(recipe, Words.of_secret(SECRET))
    forgetting.texts.add(SECRET)  # as the rows and chunks tell it
    forgetting.forget()
    left = set(cache.get(list(keys.values())))
    cache.close()
    assert keys[KEPT] in left
    return keys[SECRET] not in left


@pytest.mark.parametrize("kept", [E5, f"{E5}+int8", f"{E5}+fp32"])
@pytest.mark.parametrize("told", [E5, f"{E5}+int8"])
def test_those_of_every_engine_of_the_e5_go(tmp_path: Path, told: str, kept: str) -> None:
    """An upgrade, or another processor, takes another engine and seals the index in the place of the former one."""
    assert forgotten(tmp_path / "ws", told=told, kept=kept)


@pytest.mark.parametrize("model", ["fake/embedding", "local/multilingual-e5-small"])
def test_those_of_a_run_that_was_killed_before_it_published_go(tmp_path: Path, model: str) -> None:
    if model.startswith("fake/"):
        embedder = load_embedder(model=model, dimensions=None, api_base=None)
        assert embedder is not None
        kept = embedder.id
    else:
        kept = local_embedder_id(model, variant="fp32")
    assert forgotten(tmp_path / "ws", told="none", kept=kept, model=model)


def test_those_of_another_model_have_no_engines() -> None:
    assert ids_of_engines("local/usem3@1.0") == ["local/usem3@1.0"]
    assert not any("+int8" in name for name in ids_of_engines("text-embedding-3-small+x"))
