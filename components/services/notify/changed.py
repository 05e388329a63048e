"""Another release is in service, as news."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.services.notify.deliver import Told, deliver
from components.services.notify.news import News
from components.services.params import NotifyParams

if TYPE_CHECKING:
    from components.registry.champion import Changed

__all__ = ["tell_champion"]


def tell_champion(
    done: Changed, receivers: Sequence[NotifyParams], *, workspace: Path, model_name: str, recipe: str
) -> list[Told]:
    """Tell that a promotion or a rollback changed what is in service; nothing when it did not."""
    now, before = done.champion, done.before
    if not done.changed or now is None:
        return []
    was = f", before it version {before.version}" if before else ""
    how = "promoted" if now.what == "promote" else "rolled back to"
    forced = f" although the gate says {now.verdict}" if now.what == "promote" and now.verdict != "GO" else ""
    facts: dict[str, Any] = {
        "recipe": recipe, "model": model_name, "what": now.what, "version": now.version, "release": now.digest[:12],
        "version_before": before.version if before else None,
        "release_before": before.digest[:12] if before else None,
        "verdict": now.verdict, "run": now.run,
    }  # fmt: skip
    news = News(
        event="champion",
        about=f"champion:{model_name}:{now.at}",
        title=f"{model_name}: version {now.version} was {how}{forced}, and is in service{was}",
        facts=facts,
        look=f"cervella show {now.run}",
        details=now.reason,
    )
    return deliver(news, receivers, workspace=workspace)
