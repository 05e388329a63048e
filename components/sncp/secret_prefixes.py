"""Secrets known by the shape that their makers give them. One line a shape; the sources are the makers' own pages.

A new maker is a line in RULES and one in tests/sncp/test_secrets_makers.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import unquote

from components.sncp.placeholders import is_token
from components.sncp.spans import Span, pieces

__all__ = ["RULES", "Rule", "prefixed_secrets"]

_SHORTEST = 16
"""No shape here is shorter, so only words of this length have to be looked at."""


@dataclass(frozen=True)
class Rule:
    """One shape of one maker's secrets."""

    name: str
    marks: tuple[str, ...]
    """One of these stands in any text that the pattern can match (asked first: it is quick)."""
    expression: str
    """Matches no white space. If it has a group, that is the secret; else all of it."""
    shown: bool
    """It begins with its maker's prefix, which may be told."""

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The expression, compiled when the first mark is met: most texts hold none, and there are a hundred."""
        return re.compile(self.expression)

    def may_be_in(self, text: str) -> bool:
        """False when nothing in the text can match."""
        for mark in self.marks:  # a loop: `any` would take twice the time, and this is asked for every rule
            if mark in text:
                return True
        return False


# Before a key stands no letter or digit, but for the end of an escape: `\nKEY`, `%3DKEY`.
_START = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{2}))"


def _starts(name: str, prefixes: str, body: str) -> Rule:
    words = tuple(prefixes.split())
    return Rule(name, words, rf"{_START}(?:{'|'.join(map(re.escape, words))}){body}", True)


def _holds(name: str, marks: str, pattern: str) -> Rule:
    return Rule(name, tuple(marks.split()), pattern, False)


RULES: tuple[Rule, ...] = (
    # Models
    _starts("anthropic-key", "sk-ant-", r"[A-Za-z0-9_-]{20,}"),
    _starts("openai-key", "sk-proj- sk-svcacct- sk-admin- sk-None-", r"[A-Za-z0-9_-]{20,}"),
    _starts("openrouter-key", "sk-or-v1- sk-or-", r"[A-Za-z0-9]{32,}"),
    _starts("langfuse-key", "sk-lf-", r"[0-9a-f-]{32,}"),
    _starts("openai-key", "sk-", r"[A-Za-z0-9]{32,}"),  # DeepSeek and others write theirs so too
    _starts("langsmith-key", "lsv2_pt_ lsv2_sk_ ls__", r"[0-9a-f_]{32,}"),
    _starts("huggingface-token", "hf_ api_org_", r"[A-Za-z0-9]{30,}"),
    _starts("groq-key", "gsk_", r"[A-Za-z0-9]{40,}"),
    _starts("xai-key", "xai-", r"[A-Za-z0-9]{40,}"),
    _starts("perplexity-key", "pplx-", r"[A-Za-z0-9]{32,}"),
    _starts("cerebras-key", "csk-", r"[A-Za-z0-9]{32,}"),
    _starts("nvidia-key", "nvapi-", r"[A-Za-z0-9_-]{40,}"),
    _starts("fireworks-key", "fw_", r"[A-Za-z0-9]{22,}"),
    _starts("voyage-key", "pa-", r"[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])"),
    _starts("jina-key", "jina_", r"[A-Za-z0-9_-]{40,}"),
    _starts("elevenlabs-key", "sk_", r"[0-9a-f]{48}(?![0-9a-f])"),
    _starts("replicate-token", "r8_", r"[A-Za-z0-9]{30,}"),
    _starts("pinecone-key", "pcsk_", r"[A-Za-z0-9_]{40,}"),
    _starts("tavily-key", "tvly-", r"[A-Za-z0-9-]{20,}"),
    _starts("firecrawl-key", "fc-", r"[0-9a-f]{32}(?![0-9a-f])"),
    _starts("runpod-key", "rpa_", r"[A-Z0-9]{30,}[a-z0-9]*"),
    _starts("wandb-key", "wandb_v1_", r"[A-Za-z0-9_]{40,}"),
    # Code
    _starts("github-token", "ghp_ gho_ ghu_ ghs_ ghr_", r"[A-Za-z0-9]{36,}"),
    _starts("github-token", "github_pat_", r"[A-Za-z0-9_]{22,}"),
    _starts("gitlab-token", "glpat- gldt- glrt- glptt- glft- glsoat- glagent- gloas- glimt- glcbt- GR1348941",
            r"[A-Za-z0-9_-]{20,}(?:\.[a-z0-9]{2}\.[a-z0-9]{7,9})?"),
    _starts("bitbucket-token", "ATBB", r"[A-Za-z0-9]{28,}"),
    _starts("atlassian-token", "ATATT3 ATCTT3", r"[A-Za-z0-9_=-]{60,}"),
    _starts("npm-token", "npm_", r"[A-Za-z0-9]{36}"),
    _starts("pypi-token", "pypi-", r"[A-Za-z0-9_-]{50,}"),
    _starts("rubygems-token", "rubygems_", r"[a-f0-9]{48}"),
    _starts("docker-token", "dckr_pat_ dckr_oat_", r"[A-Za-z0-9_-]{20,}"),
    _starts("circleci-token", "CCIPAT_ CCIPRJ_", r"[A-Za-z0-9_]{40,}"),
    _starts("buildkite-token", "bkua_ bkaa_ bkaj_", r"[A-Za-z0-9]{30,}"),
    _starts("sonar-token", "squ_ sqp_ sqa_", r"[a-f0-9]{40}"),
    _starts("postman-key", "PMAK-", r"[a-f0-9]{24}-[a-f0-9]{34}"),
    _holds("terraform-token", ".atlasv1.", rf"{_START}[A-Za-z0-9]{{14}}\.atlasv1\.[A-Za-z0-9_=-]{{60,}}"),
    _starts("pulumi-token", "pul-", r"[a-f0-9]{40}"),
    _starts("doppler-token", "dp.pt. dp.st. dp.ct. dp.sa. dp.scim. dp.audit.", r"[A-Za-z0-9_.-]{40,}"),
    _starts("vault-token", "hvs. hvb. hvr.", r"[A-Za-z0-9_-]{24,}"),
    _starts("age-key", "AGE-SECRET-KEY-1", r"[0-9A-Z]{50,}"),
    _starts("onepassword-token", "ops_eyJ", r"[A-Za-z0-9+/=_-]{100,}"),
    # Clouds and hosts
    _starts("aws-access-key-id", "AKIA ASIA ABIA ACCA", r"[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _starts("google-api-key", "AIza", r"[A-Za-z0-9_-]{35}"),
    _starts("google-oauth", "GOCSPX- ya29.", r"[A-Za-z0-9_.-]{20,}"),
    _starts("google-oauth", "1//0", r"[A-Za-z0-9_-]{40,}"),
    _holds("azure-storage-key", "AccountKey= SharedAccessKey=", 
            r"(?:Account|SharedAccess)Key=([A-Za-z0-9+/]{43,86}={0,2})"),
    _holds("azure-sas", "sig=", r"(?<![A-Za-z0-9])sig=((?:[A-Za-z0-9+/_-]|%[0-9A-Fa-f]{2}){42,}=?)"),
    _holds("azure-client-secret", "Q~", rf"{_START}[A-Za-z0-9_~.-]{{3}}\dQ~[A-Za-z0-9_~.-]{{31,34}}"),
    _holds("aws-signature", "X-Amz-Signature=", r"X-Amz-Signature=([0-9a-f]{64})"),
    _starts("alibaba-key", "LTAI", r"[A-Za-z0-9]{16,26}(?![A-Za-z0-9])"),
    _starts("cloudflare-token", "cfk_ cfut_ cfat_", r"[A-Za-z0-9_-]{40,}"),
    _starts("cloudflare-origin-key", "v1.0-", r"[a-f0-9]{24}-[a-f0-9]{100,}"),
    _starts("digitalocean-token", "dop_v1_ doo_v1_ dor_v1_", r"[a-f0-9]{64}"),
    _starts("heroku-key", "HRKU-", r"[A-Za-z0-9_-]{36,}"),
    _starts("vercel-token", "vcp_ vci_ vca_ vcr_ vck_", r"[A-Za-z0-9]{24,}"),
    _starts("netlify-token", "nfp_ nfc_ nfo_ nfu_ nfb_", r"[A-Za-z0-9_-]{36,}"),
    _starts("render-key", "rnd_", r"[A-Za-z0-9]{28,}"),
    _starts("fly-token", "fm2_ fo1_", r"[A-Za-z0-9_+/=-]{40,}"),
    _starts("tailscale-key", "tskey-", r"[A-Za-z0-9-]{20,}"),
    _starts("supabase-token", "sbp_ sb_secret_", r"[A-Za-z0-9_-]{20,}"),
    _starts("planetscale-token", "pscale_tkn_ pscale_pw_ pscale_oauth_", r"[A-Za-z0-9_.=-]{32,}"),
    _starts("neon-key", "napi_", r"[A-Za-z0-9]{40,}"),
    _starts("databricks-token", "dapi", r"[a-f0-9]{32}"),
    _starts("prefect-key", "pnu_ pnb_", r"[A-Za-z0-9]{30,}"),
    _starts("grafana-token", "glsa_ glc_", r"[A-Za-z0-9_+/=]{32,}"),
    _starts("newrelic-key", "NRAK- NRIQ- NRJS-", r"[A-Za-z0-9]{19,}"),
    _starts("sentry-token", "sntrys_ sntryu_", r"[A-Za-z0-9_+/=-]{32,}"),
    _holds("sentry-dsn", "sentry.io/", r"://([0-9a-f]{32}(?::[0-9a-f]{32})?)@[\w.-]*sentry\.io/"),
    # Messages
    _starts("slack-token", "xoxa- xoxb- xoxc- xoxd- xoxe- xoxe. xoxo- xoxp- xoxr- xoxs- xapp- xwfp-",
            r"[A-Za-z0-9%.-]{16,}"),
    _starts("slack-webhook", "hooks.slack.com/services/ hooks.slack.com/workflows/",
            r"T[A-Za-z0-9_]+/[A-Za-z0-9_]+/[A-Za-z0-9_/]{16,}"),
    _starts("discord-webhook", "discord.com/api/webhooks/ discordapp.com/api/webhooks/",
            r"\d{17,20}/[A-Za-z0-9_-]{60,}"),
    _holds("discord-token", ".", rf"{_START}[MNO][A-Za-z0-9_-]{{23,27}}\.[A-Za-z0-9_-]{{6}}\.[A-Za-z0-9_-]{{27,38}}"),
    _holds("telegram-token", ":A", rf"{_START}(?:bot)?(\d{{8,10}}:A[A-Za-z0-9_-]{{34}})(?![A-Za-z0-9_-])"),
    _starts("teams-webhook", "webhook.office.com/webhookb2/", r"[A-Za-z0-9@/_-]{80,}"),
    _starts("twilio-key", "AC SK", r"[a-f0-9]{32}(?![A-Za-z0-9])"),
    _starts("sendgrid-key", "SG.", r"[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    _starts("mailgun-key", "key-", r"[0-9a-f]{32}"),
    _holds("mailchimp-key", "-us", rf"{_START}[0-9a-f]{{32}}-us[0-9]{{1,2}}(?![0-9])"),
    _starts("brevo-key", "xkeysib- xsmtpsib-", r"[a-f0-9]{64}-[A-Za-z0-9]{16}"),
    _starts("resend-key", "re_", r"[A-Za-z0-9]{6,12}_[A-Za-z0-9]{20,}"),
    _starts("twitter-bearer", "AAAAAAAAAAAAAAAAAAAA", r"[A-Za-z0-9%]{50,}"),
    _starts("facebook-token", "EAA", r"[A-Za-z0-9]{80,}"),
    # Money and work
    _starts("stripe-key", "sk_live_ rk_live_ pk_live_ sk_test_ rk_test_", r"[A-Za-z0-9]{16,}"),
    _starts("webhook-secret", "whsec_", r"[A-Za-z0-9+/=_-]{20,}"),
    _starts("square-token", "sq0csp- sq0atp- sq0idp- EAAA", r"[A-Za-z0-9_-]{22,}"),
    _starts("paypal-token", "access_token$production$ access_token$sandbox$", r"[0-9a-z]{16}\$[0-9a-f]{32}"),
    _starts("shopify-token", "shpat_ shpss_ shpca_ shppa_", r"[a-fA-F0-9]{32}"),
    _starts("notion-token", "ntn_ secret_", r"[A-Za-z0-9]{40,}"),
    _starts("linear-key", "lin_api_ lin_oauth_", r"[A-Za-z0-9]{32,}"),
    _starts("airtable-token", "pat", r"[A-Za-z0-9]{14}\.[a-f0-9]{64}"),
    _starts("asana-token", "1/ 2/", r"\d{10,20}(?:/\d{10,20})?:[a-f0-9]{32}"),
    _starts("hubspot-token", "pat-na1- pat-na2- pat-eu1-",
            r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
    _starts("figma-token", "figd_", r"[A-Za-z0-9_-]{32,}"),
    _starts("dropbox-token", "sl.", r"[A-Za-z0-9_.-]{100,}"),
    _starts("typeform-token", "tfp_", r"[A-Za-z0-9_.=-]{40,}"),
    _starts("contentful-token", "CFPAT-", r"[A-Za-z0-9_-]{40,}"),
    _starts("jwt", "eyJ", r"[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){2,4}"),
)  # fmt: skip
"""Order matters where two fit the same place: the first one names the finding."""

_REST = re.compile(r"[A-Za-z0-9_.+/=%-]*")


def prefixed_secrets(text: str) -> Iterator[Span]:
    """Every secret of a known shape, unless it is a placeholder."""
    words = "\n".join([word for word in text.split() if len(word) >= _SHORTEST])
    rules = [rule for rule in RULES if rule.may_be_in(words)]
    if not rules:
        return
    for offset, piece in pieces(text):
        for rule in rules:
            if rule.may_be_in(piece):
                for match in rule.pattern.finditer(piece):
                    group = match.lastindex or 0
                    if is_token(unquote(match[group])):
                        start, end = offset + match.start(group), offset + match.end(group)
                        end -= len(match[group]) - len(match[group].rstrip("."))  # that ends the sentence
                        if match.end(group) == len(piece) and (rest := _REST.match(text, end)):
                            end = rest.end()  # a key that is longer than a piece
                        yield Span(start, end, rule.name, rule.shown)
