"""Keys as their makers shape them, put together while tests run: no key stands in this repository."""

from __future__ import annotations

import random
import re
import string

__all__ = ["SHAPES", "key"]

_LETTERS = {
    "a": string.ascii_letters + string.digits,
    "u": string.ascii_letters + string.digits + "-_",
    "b": string.ascii_letters + string.digits + "+/",
    "h": "0123456789abcdef",
    "U": string.ascii_uppercase + string.digits,
    "l": string.ascii_lowercase + string.digits,
    "d": "123456789",
}

# `{34a}`: 34 characters of that alphabet. The rest stands as it is.
SHAPES: dict[str, str] = {
    "airtable": "pat{14a}.{64h}",
    "anthropic": "sk-ant-api03-{93u}AA",
    "asana": "2/{16d}/{16d}:{32h}",
    "atlassian": "ATATT3xFfGF0{180u}={8U}",
    "aws-id": "AKIA{16U}",
    "aws-session-id": "ASIA{16U}",
    "azure-client-secret": "{3a}8Q~{34a}",
    "azure-storage": "AccountKey={86b}==",
    "azure-sas": "?sv=2024-11-04&ss=b&srt=co&sp=rl&sig={41a}%2B{1a}%3D",
    "brevo": "xkeysib-{64h}-{16a}",
    "buildkite": "bkua_{40h}",
    "cerebras": "csk-{48l}",
    "circleci": "CCIPAT_{22a}_{40h}",
    "cloudflare": "cfut_{40a}{8h}",
    "cloudflare-account": "cfat_{40a}{8h}",
    "cloudflare-origin": "v1.0-{24h}-{146h}",
    "contentful": "CFPAT-{43u}",
    "databricks": "dapi{32h}",
    "digitalocean": "dop_v1_{64h}",
    "discord": "MT{24a}.{6a}.{38u}",
    "discord-webhook": "https://discord.com/api/webhooks/{18d}/{68u}",
    "docker": "dckr_pat_{27u}",
    "doppler": "dp.pt.{43a}",
    "dropbox": "sl.u.{140u}",
    "elevenlabs": "sk_{48h}",
    "facebook": "EAA{150a}",
    "figma": "figd_{40u}",
    "firecrawl": "fc-{32h}",
    "fireworks": "fw_{24a}",
    "fly": "fm2_{120b}",
    "github-app": "ghs_{36a}",
    "github-fine-grained": "github_pat_{22a}_{59a}",
    "github-oauth": "gho_{36a}",
    "github-personal": "ghp_{36a}",
    "gitlab": "glpat-{20u}",
    "gitlab-routable": "glpat-{27u}.01.{9l}",
    "google-api": "AIza{35u}",
    "google-oauth-access": "ya29.a0{160u}",
    "google-oauth-client": "GOCSPX-{28u}",
    "grafana": "glsa_{32a}_{8h}",
    "groq": "gsk_{52a}",
    "heroku": "HRKU-AA{58u}",
    "hubspot": "pat-eu1-{8h}-{4h}-{4h}-{4h}-{12h}",
    "hugging-face": "hf_{34a}",
    "jina": "jina_{60a}",
    "langsmith": "lsv2_pt_{32h}_{10h}",
    "linear": "lin_api_{40a}",
    "mailchimp": "{32h}-us12",
    "mailgun": "key-{32h}",
    "neon": "napi_{64l}",
    "netlify": "nfp_{36a}",
    "newrelic": "NRAK-{27U}",
    "notion": "ntn_{46a}",
    "notion-old": "secret_{43a}",
    "npm": "npm_{36a}",
    "nvidia": "nvapi-{64u}",
    "openai": "sk-{48a}",
    "openai-project": "sk-proj-{74u}T3BlbkFJ{74u}",
    "openrouter": "sk-or-v1-{64h}",
    "paypal-braintree": "access_token$production${16l}${32h}",
    "perplexity": "pplx-{48a}",
    "pinecone": "pcsk_{6a}_{63a}",
    "planetscale": "pscale_tkn_{43u}",
    "postman": "PMAK-{24h}-{34h}",
    "prefect": "pnu_{36a}",
    "pulumi": "pul-{40h}",
    "pypi": "pypi-AgEIcHlwaS5vcmc{100u}",
    "render": "rnd_{32a}",
    "replicate": "r8_{37a}",
    "resend": "re_{8a}_{24a}",
    "rubygems": "rubygems_{48h}",
    "sendgrid": "SG.{22u}.{43u}",
    "sentry-dsn": "https://{32h}@o{6d}.ingest.sentry.io/{7d}",
    "sentry-token": "sntryu_{64h}",
    "shopify": "shpat_{32h}",
    "slack-bot": "xoxb-{12d}-{13d}-{24a}",
    "slack-user": "xoxp-{12d}-{12d}-{12d}-{32h}",
    "slack-webhook": "https://hooks.slack.com/services/T{9U}/B{9U}/{24a}",
    "sonar": "squ_{40h}",
    "square": "sq0csp-{43u}",
    "square-access": "EAAA{60u}",
    "stripe": "sk_live_{24a}",
    "stripe-restricted": "rk_live_{99a}",
    "stripe-webhook": "whsec_{32a}",
    "supabase": "sbp_{40h}",
    "supabase-service": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ{80u}.{43u}",
    "tailscale": "tskey-auth-{12a}CNTRL-{32a}",
    "telegram": "{10d}:AA{33u}",
    "terraform": "{14a}.atlasv1.{67u}",
    "twilio": "SK{32h}",
    "twitter": "AAAAAAAAAAAAAAAAAAAAA{80a}",
    "vault": "hvs.{90u}",
    "vercel": "vcp_{56a}",
    "voyage": "pa-{43u}",
    "xai": "xai-{80a}",
}


def key(name: str, seed: int = 0) -> str:
    """A key of that maker: the same seed, the same key."""
    chance = random.Random(f"{name}{seed}")  # noqa: S311 - it must be the same in each run

    def body(match: re.Match[str]) -> str:
        return "".join(chance.choice(_LETTERS[match[2]]) for _ in range(int(match[1])))

    return re.sub(r"\{(\d+)([a-zA-Z])\}", body, SHAPES[name])
