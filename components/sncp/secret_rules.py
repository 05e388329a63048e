"""What a secret looks like: our own rules, those taken from detect-secrets, and what is only a placeholder."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache

__all__ = [
    "ASSIGNED",
    "AWS_SECRET",
    "RULES",
    "Rule",
    "borrowed_patterns",
    "entropy",
    "is_placeholder",
    "is_strong",
    "is_token",
    "is_word_like",
]


@dataclass(frozen=True)
class Rule:
    """A secret known by the prefix that its maker gives it."""

    name: str
    prefixes: tuple[str, ...]
    """At least one stands in any text that the pattern can match (checked first: it is quick)."""
    pattern: re.Pattern[str]
    """If it has a group, that is the secret; else all of it."""


def _prefixed(name: str, prefixes: str, body: str) -> Rule:
    words = tuple(prefixes.split())
    start = "|".join(re.escape(word) for word in words)
    return Rule(name, words, re.compile(rf"(?<![A-Za-z0-9])(?:{start}){body}"))


RULES: tuple[Rule, ...] = (
    _prefixed("anthropic-key", "sk-ant-", r"[A-Za-z0-9_-]{20,}"),
    _prefixed("openai-key", "sk-proj- sk-svcacct- sk-admin- sk-None-", r"[A-Za-z0-9_-]{20,}"),
    _prefixed("openai-key", "sk-", r"[A-Za-z0-9]{32,}"),
    _prefixed("openrouter-key", "sk-or-v1- sk-or-", r"[A-Za-z0-9]{32,}"),
    _prefixed("langfuse-key", "sk-lf-", r"[0-9a-f-]{32,}"),
    _prefixed("langsmith-key", "lsv2_pt_ lsv2_sk_ ls__", r"[0-9a-f_]{32,}"),
    _prefixed("huggingface-token", "hf_ api_org_", r"[A-Za-z0-9]{30,}"),
    _prefixed("github-token", "ghp_ gho_ ghu_ ghs_ ghr_", r"[A-Za-z0-9]{36,}"),
    _prefixed("github-token", "github_pat_", r"[A-Za-z0-9_]{22,}"),
    _prefixed("gitlab-token", "glpat- gldt- glrt- glptt- glft- glsoat- glagent- gloas- glimt-", r"[A-Za-z0-9_.-]{20,}"),
    _prefixed("google-api-key", "AIza", r"[A-Za-z0-9_-]{35}"),
    _prefixed("google-oauth", "GOCSPX- ya29.", r"[A-Za-z0-9_-]{20,}"),
    _prefixed("aws-access-key-id", "AKIA ASIA ABIA ACCA", r"[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _prefixed("slack-token", "xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs- xapp-", r"[A-Za-z0-9-]{16,}"),
    _prefixed("slack-webhook", "hooks.slack.com/services/", r"T[A-Za-z0-9_]+/B[A-Za-z0-9_]+/[A-Za-z0-9_]{16,}"),
    _prefixed("sendgrid-key", "SG.", r"[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    _prefixed("npm-token", "npm_", r"[A-Za-z0-9]{36}"),
    _prefixed("pypi-token", "pypi-", r"[A-Za-z0-9_-]{50,}"),
    _prefixed("stripe-key", "sk_live_ rk_live_ pk_live_ sk_test_ rk_test_", r"[A-Za-z0-9]{16,}"),
    _prefixed("webhook-secret", "whsec_", r"[A-Za-z0-9+/=_-]{20,}"),
    _prefixed("groq-key", "gsk_", r"[A-Za-z0-9]{40,}"),
    _prefixed("xai-key", "xai-", r"[A-Za-z0-9]{40,}"),
    _prefixed("perplexity-key", "pplx-", r"[A-Za-z0-9]{32,}"),
    _prefixed("tavily-key", "tvly-", r"[A-Za-z0-9-]{20,}"),
    _prefixed("replicate-token", "r8_", r"[A-Za-z0-9]{30,}"),
    _prefixed("pinecone-key", "pcsk_", r"[A-Za-z0-9_]{40,}"),
    _prefixed("runpod-key", "rpa_", r"[A-Z0-9]{30,}[a-z0-9]*"),
    _prefixed("notion-token", "ntn_ secret_", r"[A-Za-z0-9]{40,}"),
    _prefixed("linear-key", "lin_api_", r"[A-Za-z0-9]{32,}"),
    _prefixed("figma-token", "figd_", r"[A-Za-z0-9_-]{32,}"),
    _prefixed("shopify-token", "shpat_ shpss_ shpca_ shppa_", r"[a-fA-F0-9]{32}"),
    _prefixed("databricks-token", "dapi", r"[a-f0-9]{32}"),
    _prefixed("digitalocean-token", "dop_v1_ doo_v1_ dor_v1_", r"[a-f0-9]{64}"),
    _prefixed("docker-token", "dckr_pat_ dckr_oat_", r"[A-Za-z0-9_-]{20,}"),
    _prefixed("prefect-key", "pnu_ pnb_", r"[A-Za-z0-9]{30,}"),
    _prefixed("grafana-token", "glsa_ glc_", r"[A-Za-z0-9_+/=]{32,}"),
    _prefixed("vault-token", "hvs. hvb.", r"[A-Za-z0-9_-]{24,}"),
    _prefixed("supabase-token", "sbp_ sb_secret_", r"[A-Za-z0-9_-]{20,}"),
    _prefixed("sentry-token", "sntrys_ sntryu_", r"[A-Za-z0-9_+/=]{32,}"),
    _prefixed("mailgun-key", "key-", r"[0-9a-f]{32}"),
    _prefixed("square-token", "sq0csp- sq0atp- EAAA", r"[A-Za-z0-9_-]{22,}"),
    _prefixed("age-key", "AGE-SECRET-KEY-1", r"[0-9A-Z]{50,}"),
    _prefixed("jwt", "eyJ", r"[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){2,4}"),
    Rule("url-password", ("://",), re.compile(r"://[^\s:/@\"'`<>|]{0,100}:([^\s/\"'`<>|]{1,200})@(?=[\w\[{$-])")),
    Rule("bearer-token", ("earer", "EARER"), re.compile(r"(?i)\bbearer\s+([A-Za-z0-9._~+/=-]{16,})")),
    Rule("basic-auth", ("asic",), re.compile(r"(?i)authorization\W{1,6}basic\s+([A-Za-z0-9+/=]{12,})")),
)
"""Order matters where two fit: the first one names the finding."""

AWS_SECRET = re.compile(r"(?<![A-Za-z0-9+/=])[A-Za-z0-9+/]{40}(?![A-Za-z0-9+/=])")
"""An AWS secret key has no prefix: it counts only near an access key id or the words for it."""

ASSIGNED = re.compile(
    r"""(?ix) (?P<name>
          pass(?:word|wd|phrase|code)? | pwd | parola[ ]d'ordine
        | (?: api | access | secret | client | private | auth | encryption | signing | account | service | bot
            | refresh | id | chiave | webhook )
          [_ -]? (?: secret | access[_ -]?key | key(?:[_ -]?id)? | token | api | segreta )
        | secret | segreto | token | credentials? | credenziali
        )
        (?: [ ] (?!or\b|o\b) [\w'/.-]{1,20} ){0,3}?
        ["'`*_\])]{0,4} [ \t]{0,4} (?P<sign> :=? | ={1,3} | => | \| | (?<=\s)è\b | (?<=\s)e'(?=\s) | (?<=\s)is\b
          | (?<=[ \t]) ) ["'`*_ \t]{0,6} (?: \|[ \t]{0,4} )? ["'`*_]{0,4} (?P<value> [^\s"'`|<>]{6,200} )""",
)
"""`password = value`, `| Password | value |`, `la password del wifi è value`: the value is judged apart."""

_PLACEHOLDER = re.compile(
    r"(?i)\.\.\.|\u2026|\*{3}|(?<![a-z0-9])x{3,}|x{5,}|\u2022{2}|your|example|esempio|placeholder|change.?me|dummy|inserisci|insert|redacted"
    r"|la.?tua|il.?tuo|tua.?chiave|key.?here|goes.?here|my.?(?:secret|key|token|pass)|secret.?key|api.?key"
    r"|[<>]|\$[{(]|^\$[a-z_]|%\w+%|\{\{|^[{\[(]|\w[(\[]|^process\.|^os\.|^env\."
)
_PLAIN_PASSWORD = re.compile(
    r"(?i)(?:the|la|mia|db|user|root|admin|super|new|old|test|[-_])*(?:password|secret|pass)[-_]?\d{0,3}"
)
_COMMON = frozenset(
    "pass passwd pwd pw secret token user username admin root test guest postgres mysql redis mongo rabbitmq minio "
    "none null true false undefined string optional required default localhost segreto chiave utente".split()
)


def entropy(value: str) -> float:
    """Shannon entropy of the characters, in bits each (random hex: about 3.7 in 32; base64: about 4.7 in 40)."""
    counts = Counter(value).values()
    return -sum(count / len(value) * math.log2(count / len(value)) for count in counts)


def is_placeholder(value: str) -> bool:
    """True for what only stands for a secret: `sk-ant-...`, `<your-key>`, `${VAR}`, `xxxx`, `12345678`."""
    bare = value.strip("\"'`*_.,;:!?()")
    if not bare or _PLACEHOLDER.search(value) or _PLAIN_PASSWORD.fullmatch(bare) or bare.lower() in _COMMON:
        return True
    steps = [ord(after) - ord(before) for before, after in zip(bare, bare[1:], strict=False)]
    regular = sum(step in (-1, 0, 1) for step in steps)
    return len(set(bare)) < 4 or (bool(steps) and regular / len(steps) > 0.6)


def is_token(value: str) -> bool:
    """True for a value as a machine makes it: 16 characters or more, mixed, without a pattern."""
    mixed = any(c.isdigit() for c in value) or (any(c.isupper() for c in value) and any(c.islower() for c in value))
    return len(value) >= 16 and mixed and entropy(value) >= 3.0 and not is_placeholder(value)


def is_word_like(value: str) -> bool:
    """True for a value that a person would read as prose, code, a path or a number, not as a password."""
    if re.search(r"(?i)\.(?:md|txt|json|ya?ml|toml|py|[jt]sx?|sh|sql|html|css|env|pem|log)$", value):
        return True
    letters = sum(c.isalpha() for c in value)
    if not letters or letters == len(value):
        return True
    if re.fullmatch(r"[\d.,]+\w{0,6}|[\w-]+(?:[./:]+[\w-]+)+[/)]?|[a-z]+(?:[_-][a-z0-9]+)+", value):
        return not re.search(r"[A-Z].*\d.*[a-z]|[a-z].*\d.*[A-Z]", value)
    return not any(c.isdigit() or c in "!@#$%^&*+=?" for c in value.rstrip(".,;:!?"))


def is_strong(value: str) -> bool:
    """True for a value that can hardly be anything but a password: it needs no sign before it."""
    kinds = (str.isupper, str.islower, str.isdigit, lambda c: c in "!@#$%^&*+=?")
    return len(value) >= 8 and sum(any(map(kind, value)) for kind in kinds) >= 3


# Those of detect-secrets whose patterns can stand alone, each with words of which one must stand in the text.
# Left out: KeywordDetector, the entropy detectors and IPPublic (far too many false alarms in prose), BasicAuth,
# PrivateKey, GitHub, JWT, Npm, Pypi, SendGrid and Stripe (our own rules go further).
_BORROWED = (
    ("artifactory", "ArtifactoryDetector", "AKC AP"),
    ("aws", "AWSKeyDetector", "aws Aws AWS AKIA ASIA A3T"),
    ("azure_storage_key", "AzureStorageKeyDetector", "AccountKey"),
    ("cloudant", "CloudantDetector", "cloudant Cloudant CLOUDANT"),
    ("discord", "DiscordBotTokenDetector", "."),
    ("gitlab_token", "GitLabTokenDetector", "gl GR1348941"),
    ("ibm_cloud_iam", "IbmCloudIamDetector", "ibm Ibm IBM"),
    ("ibm_cos_hmac", "IbmCosHmacDetector", "ibm Ibm IBM cos_ COS_"),
    ("mailchimp", "MailchimpDetector", "-us"),
    ("openai", "OpenAIDetector", "T3BlbkFJ"),
    ("slack", "SlackDetector", "xox slack"),
    ("softlayer", "SoftlayerDetector", "softlayer Softlayer SoftLayer SOFTLAYER"),
    ("square_oauth", "SquareOAuthDetector", "sq0csp"),
    ("telegram_token", "TelegramBotTokenDetector", ":"),
    ("twilio", "TwilioKeyDetector", "AC SK"),
)


@cache
def borrowed_patterns() -> tuple[tuple[str, tuple[str, ...], re.Pattern[str]], ...]:
    """(rule name, words of which one must be there, pattern) of detect-secrets' plugins.

    The patterns only: a plugin's own scan gives back the first group of a match, which for several of them
    is the prefix and not the secret.
    """
    from importlib import import_module

    out: list[tuple[str, tuple[str, ...], re.Pattern[str]]] = []
    for module, name, words in _BORROWED:
        plugin = getattr(import_module(f"detect_secrets.plugins.{module}"), name)
        out += [(module.replace("_", "-"), tuple(words.split()), pattern) for pattern in plugin.denylist]
    return tuple(out)
