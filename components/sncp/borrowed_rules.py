"""The patterns that are taken from detect-secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module

__all__ = ["borrowed_patterns"]

# Those whose patterns can stand alone, each with words (in lower case) of which one must stand in the text. Left out:
# KeywordDetector, the entropy detectors and IPPublic (far too many false alarms in prose); AWS, BasicAuth, Discord,
# GitHub, GitLab, JWT, Mailchimp, Npm, OpenAI, PrivateKey, Pypi, SendGrid, Slack, Square, Stripe, Telegram and Twilio
# (our own rules go further).
_BORROWED = (
    ("artifactory", "ArtifactoryDetector", "akc artifactory jfrog"),
    ("cloudant", "CloudantDetector", "cloudant"),
    ("ibm_cloud_iam", "IbmCloudIamDetector", "ibm"),
    ("ibm_cos_hmac", "IbmCosHmacDetector", "ibm cos_"),
    ("softlayer", "SoftlayerDetector", "softlayer"),
)


def borrowed_patterns(low: str) -> Iterator[tuple[str, re.Pattern[str]]]:
    """(rule name, pattern) of detect-secrets' plugins that can find something in this text, given in lower case.

    The patterns only: a plugin's own scan gives back the first group of a match, which for several of them
    is the prefix and not the secret.
    """
    for module, name, words in _BORROWED:
        if any(word in low for word in words.split()):
            for pattern in _denylist(module, name):
                yield module.replace("_", "-"), pattern


@cache
def _denylist(module: str, name: str) -> tuple[re.Pattern[str], ...]:
    return tuple(getattr(import_module(f"detect_secrets.plugins.{module}"), name).denylist)
