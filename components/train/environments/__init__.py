"""Environments of trainers: locked, outside the project, found again by the hash of their lock."""

from components.train.environments.find import (
    Environment,
    find_environment,
    lock_digest,
    lock_file,
    torch_version,
    trainer_version,
    trainers_folder,
)

__all__ = [
    "Environment",
    "find_environment",
    "lock_digest",
    "lock_file",
    "torch_version",
    "trainer_version",
    "trainers_folder",
]
