"""The patterns that are taken from detect-secrets."""

from __future__ import annotations

import re
from functools import cache

__all__ = ["borrowed_patterns"]

# Those whose patterns can stand alone, each with words of which one must stand in the text
# (in lower case). Left out: KeywordDetector,
# the entropy detectors and IPPublic (far too many false alarms in prose); BasicAuth, Discord, GitHub, GitLab, JWT,
# Mailchimp, Npm, PrivateKey, Pypi, SendGrid, Slack, Square, Stripe, Telegram and Twilio (our own rules go further).
_BORROWED = (
    ("artifactory", "ArtifactoryDetector", "akc artifactory jfrog"),
    ("aws", "AWSKeyDetector", "aws a3t"),
    ("cloudant", "CloudantDetector", "cloudant"),
    ("ibm_cloud_iam", "IbmCloudIamDetector", "ibm"),
    ("ibm_cos_hmac", "IbmCosHmacDetector", "ibm cos_"),
    ("openai", "OpenAIDetector", "t3blbkfj"),
    ("softlayer", "SoftlayerDetector", "softlayer"),
)


@cache
def borrowed_patterns() -> tuple[tuple[str, tuple[str, ...], re.Pattern[str]], ...]:
    """(rule name, words in lower case of which one must be there, pattern) of detect-secrets' plugins.

    The patterns only: a plugin's own scan gives back the first group of a match, which for several of them
    is the prefix and not the secret.
    """
    from importlib import import_module

    out: list[tuple[str, tuple[str, ...], re.Pattern[str]]] = []
    for module, name, words in _BORROWED:
        plugin = getattr(import_module(f"detect_secrets.plugins.{module}"), name)
        out += [(module.replace("_", "-"), tuple(words.split()), pattern) for pattern in plugin.denylist]
    return tuple(out)
