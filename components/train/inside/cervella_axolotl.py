"""Axolotl's plugin (`plugins: [cervella_axolotl.Plugin]`) that adds the callback of telling.py and what has no key."""

from __future__ import annotations

import json
from typing import Any

from axolotl.integrations.base import BasePlugin
from telling import make_telling  # type: ignore[import-not-found]


class Plugin(BasePlugin):  # type: ignore[misc]
    """See the module."""

    def get_training_args(self, cfg: Any) -> dict[str, Any]:
        """Arguments of transformers' Trainer that Axolotl would set otherwise, or not at all."""
        return {
            "warmup_steps": cfg.warmup_steps,  # Axolotl makes 2 of 1
            "restore_callback_states_from_checkpoint": True,  # evaluations without a gain, of an earlier sitting
        }

    def pre_lora_load(self, cfg: Any, model: Any) -> None:
        """Axolotl seeds the order of the examples, not the first weights of the adapter: these are made next."""
        from transformers import set_seed

        set_seed(cfg.seed)

    def add_callbacks_post_trainer(self, cfg: Any, trainer: Any) -> list[Any]:
        """The callback that tells."""

        def config() -> Any:
            return json.loads(json.dumps({key: value for key, value in cfg.items() if value is not None}, default=str))

        return [make_telling(package="axolotl", config=config, callbacks=lambda: trainer.callback_handler.callbacks)]
