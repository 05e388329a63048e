"""The release that is in service: sealed releases, who is champion, promote and rollback."""

from components.registry.champion.change import Changed, promote, rollback
from components.registry.champion.follow import sync_champion
from components.registry.champion.record import Champion, read_champion, read_champions, read_history
from components.registry.champion.release_step import release_adapter, release_spec, seal_release

__all__ = [
    "Champion",
    "Changed",
    "promote",
    "read_champion",
    "read_champions",
    "read_history",
    "release_adapter",
    "release_spec",
    "rollback",
    "seal_release",
    "sync_champion",
]
