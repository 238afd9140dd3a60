"""The table of what a secret looks like. Ids are those of gitleaks where it knows the kind, so that audits agree.

A pattern starts at one of its rule's keywords, so that a text costs little more than a search for those. Every
quantifier has a bound. Characters are ASCII's, so that text and bytes read as Latin-1 are judged alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from . import judges
from .assigned import ASSIGNMENT, PAIR, SQL, assigned, element, in_sql, paired
from .judges import COLOURS, Hit, Judge

Watch = Callable[[], None]


def patient() -> None:
    """Let it take its time."""


@dataclass(frozen=True)
class Rule:
    """One kind of secret: where to look for it, what it looks like there, and what speaks for its being one.

    ``keywords`` are literal; those of a ``folded`` rule are in lower case and stand for any. The pattern of a rule
    without keywords is looked for everywhere: it must begin with a rare character. ``more`` are the characters with
    which a secret goes on that reaches the end of its match: patterns stay short, since any keyword may repeat.
    """

    id: str
    keywords: tuple[str, ...]
    source: str
    judge: Judge = judges.varied
    folded: bool = False
    more: str = ""

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Compiled when a keyword is first met: a process that prints one line should not wait for all of them."""
        return re.compile(self.source, re.ASCII | re.VERBOSE | (re.IGNORECASE if self.folded else re.NOFLAG))

    @cached_property
    def _rest(self) -> re.Pattern[str]:
        return re.compile(f"(?:{self.more}){{0,{judges.MAX_KEY}}}+", re.ASCII)

    def hits(self, text: str, searched: str, keyword: str, watch: Watch = patient) -> Iterator[Hit]:
        """The secrets at a keyword, from left to right; ``searched`` is the text, in lower case for a folded rule.

        ``watch`` is called at every place that is looked at, and may raise.
        """
        place = searched.find(keyword)
        while place >= 0:
            watch()
            match = self.pattern.match(text, place)
            hit = self.judge(match) if match else None
            if hit:
                longer = self._rest.match(text, hit.end) if match and self.more and hit.end == match.end() else None
                hit = hit._replace(end=longer.end()) if longer else hit
                yield hit
            place = searched.find(keyword, hit.end if hit and hit.end > place else place + 1)

    def hits_anywhere(self, text: str, watch: Watch = patient) -> Iterator[Hit]:
        """The secrets of a rule without keywords."""
        for match in self.pattern.finditer(text):
            watch()
            hit = self.judge(match)
            if hit:
                yield hit


_EDGE = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrtbf])|(?<=[\[;\d]m)|(?<=%[0-9A-Fa-f]{2}))"
"""Nothing that belongs to a word stands before: an escaped line end, a colour or a URL's escape does not."""
_BARE = r"\x00-\x20\x7f"
_UNQUOTED = rf"""[^{_BARE}"'`\\]"""
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_LONG_BODY = re.compile(r"(?P<of>\[[^]]+\]|\\w)\{(?P<least>\d+),(?P<most>\d+)\}(?P<rest>(?:={0,2}|=\{0,\d\})?)")
_JUDGED = 60
_BETWEEN = r"""[\w. -]{0,40}["'`\\\]]{0,5}[ \t]{0,20}(?:=>|:=|[:=,|])[ \t]{0,8}["'`\\]{0,5}"""


def _token(kind: str, *prefixes: str, body: str, edge: bool = False) -> Rule:
    """A format with a prefix of its own; with ``edge`` the prefix is short enough to be a part of something else.

    Of a long body only the beginning is judged, and the rest taken along: a text of nothing but prefixes is one long
    body at each of them.
    """
    either = "|".join(re.escape(prefix) for prefix in prefixes)
    more = ""
    if (long := _LONG_BODY.fullmatch(body)) and int(long["most"]) > _JUDGED:
        more = long["of"]
        body = f"{more}{{{long['least']},{max(_JUDGED, int(long['least']))}}}{long['rest']}"
    return Rule(kind, prefixes, f"{_EDGE if edge else ''}(?:{either})(?P<body>{body})", more=more)


def _near(kind: str, *keywords: str, value: str, judge: Judge = judges.random_value) -> Rule:
    """A value without a form of its own, assigned to a name that tells what it is."""
    return Rule(kind, keywords, f"(?:{'|'.join(keywords)}){_BETWEEN}(?P<v>{value})", judge, folded=True)


_KEY_BLOCKS = (
    Rule(
        "private-key",
        ("-----BEGIN ",),
        r"""-----BEGIN[ ][A-Z0-9 ]{0,40}PRIVATE[ ]KEY(?:[ ]BLOCK)?-----
        (?P<body>(?:[^\x00-]{1,20000}+|-(?!----)){1,200}+)(?P<end>-----END[ ][A-Z0-9 ]{0,40}-----)?""",
        judges.key_block,
    ),
    Rule(
        "private-key",
        ("-----END ",),
        r"-----END[ ][A-Z0-9 ]{0,40}PRIVATE[ ]KEY(?:[ ]BLOCK)?-----",
        judges.key_tail,
    ),
    _token("age-secret-key", "AGE-SECRET-KEY-1", body="[A-Z0-9]{40,80}"),
)

_CLOUD = (
    _token("aws-access-token", "AKIA", "ASIA", "ABIA", "ACCA", body="[A-Z0-9]{16}", edge=True),
    _token("aws-amazon-bedrock-api-key", "ABSK", body=r"[A-Za-z0-9+/]{100,300}={0,2}", edge=True),
    _near(
        "aws-secret-access-key",
        "aws",
        "secretaccesskey",
        "secret_access_key",
        value="[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])",
        judge=judges.mixed_value,
    ),
    _token("gcp-api-key", "AIza", body=r"[\w-]{35}", edge=True),
    _token("gcp-oauth-client-secret", "GOCSPX-", body=r"[\w-]{20,60}"),
    _token("gcp-oauth-access-token", "ya29.", body=r"[\w.-]{20,2000}", edge=True),
    _token("gcp-oauth-refresh-token", "1//0", body=r"[\w-]{30,300}", edge=True),
    Rule("azure-ad-client-secret", ("Q~",), r"Q~(?P<body>[\w~.-]{31,34})", judges.preceded(r"[\w~.]{3}\d")),
    _near("azure-storage-account-key", "accountkey", "sharedaccesskey", value=r"[A-Za-z0-9+/]{40,90}={0,2}"),
    Rule(
        "azure-sas-signature", ("sig=",), r"(?<=[?&;])sig=(?P<v>[A-Za-z0-9%+/]{40,80}(?:%3[Dd]|=))", judges.random_value
    ),
    _token("digitalocean-pat", "dop_v1_", body="[a-f0-9]{40,64}"),
    _token("digitalocean-access-token", "doo_v1_", body="[a-f0-9]{40,64}"),
    _token("digitalocean-refresh-token", "dor_v1_", body="[a-f0-9]{40,64}"),
    _token("heroku-api-key-v2", "HRKU-", body=r"[\w-]{36,80}"),
    _near("heroku-api-key", "heroku", value=_UUID),
    _token("flyio-access-token", "fo1_", "fm1_", "fm2_", "fm1a_", "fm1r_", body=r"[\w+/=-]{40,2000}", edge=True),
    _token("planetscale-api-token", "pscale_tkn_", body=r"[\w.=-]{30,80}"),
    _token("planetscale-oauth-token", "pscale_oauth_", body=r"[\w.=-]{30,80}"),
    _token("planetscale-password", "pscale_pw_", body=r"[\w.=-]{30,80}"),
    _token("supabase-token", "sbp_", "sb_secret_", body=r"[\w-]{28,60}"),
    _token("tailscale-key", "tskey-", body=r"[\w-]{20,100}"),
)

_CODE_HOSTS = (
    _token("github-pat", "ghp_", body="[A-Za-z0-9]{36,255}"),
    _token("github-fine-grained-pat", "github_pat_", body=r"\w{30,255}"),
    _token("github-oauth", "gho_", body="[A-Za-z0-9]{36,255}"),
    _token("github-app-token", "ghu_", "ghs_", body=r"[\w.-]{36,1000}"),
    _token("github-refresh-token", "ghr_", body="[A-Za-z0-9]{36,255}"),
    _token("gitlab-pat", "glpat-", body=r"[\w.-]{20,300}"),
    _token("gitlab-deploy-token", "gldt-", body=r"[\w.-]{20,300}"),
    _token("gitlab-runner-authentication-token", "glrt-", body=r"[\w.-]{20,300}"),
    _token("gitlab-ptt", "glptt-", body=r"[\w.-]{20,300}"),
    _token("gitlab-cicd-job-token", "glcbt-", body=r"[\w.-]{20,1000}"),
    _token("atlassian-api-token", "ATATT3", "ATCTT3", body=r"[\w=-]{60,400}"),
    _token("docker-hub-pat", "dckr_pat_", "dckr_oat_", body=r"[\w-]{20,80}"),
    _token("npm-access-token", "npm_", body="[A-Za-z0-9]{36}(?![A-Za-z0-9_])"),
    _token("pypi-upload-token", "pypi-A", body=r"[\w-]{40,1000}"),
    _token("rubygems-api-token", "rubygems_", body="[a-f0-9]{48}"),
    _token("hashicorp-tf-api-token", ".atlasv1.", body=r"[\w=-]{60,70}"),
    _token("pulumi-api-token", "pul-", body="[a-f0-9]{40}", edge=True),
    _token("vault-service-token", "hvs.", body=r"[\w-]{20,300}", edge=True),
    _token("vault-batch-token", "hvb.", body=r"[\w-]{40,400}", edge=True),
    _near("vault-service-token", "vault", value=r"s\.[A-Za-z0-9]{24}(?![\w.])"),
    _token("1password-service-account-token", "ops_eyJ", body=r"[A-Za-z0-9+/]{100,2000}={0,3}"),
    _token("doppler-api-token", "dp.pt.", "dp.st.", "dp.ct.", "dp.sa.", body=r"[\w.-]{40,80}", edge=True),
)

_MODELS = (
    _token("anthropic-api-key", "sk-ant-", body=r"[\w-]{20,300}"),
    Rule(
        "openai-api-key",
        ("sk-",),
        _EDGE + r"sk-(?P<body>(?:proj|svcacct|admin|or-v1)-[\w-]{20,300}|[A-Za-z0-9]{32,300})",
    ),
    _token("huggingface-access-token", "hf_", body="[A-Za-z0-9]{30,60}(?![A-Za-z0-9_])", edge=True),
    _token("huggingface-organization-api-token", "api_org_", body="[A-Za-z0-9]{30,60}(?![A-Za-z0-9_])", edge=True),
    _token("groq-api-key", "gsk_", body="[A-Za-z0-9]{40,80}", edge=True),
    _token("perplexity-api-key", "pplx-", body="[A-Za-z0-9]{40,80}"),
    _token("xai-api-key", "xai-", body=r"[\w-]{60,120}", edge=True),
    _token("replicate-api-token", "r8_", body="[A-Za-z0-9]{37}", edge=True),
    _token("langsmith-api-key", "lsv2_", body=r"\w{30,80}"),
    _token("nvidia-api-key", "nvapi-", body=r"[\w-]{50,100}"),
)

_SERVICES = (
    _token("slack-bot-token", "xoxb-", body=r"[\w-]{10,300}"),
    _token("slack-user-token", "xoxp-", body=r"[\w-]{10,300}"),
    _token("slack-config-access-token", "xoxe.xoxb-", "xoxe.xoxp-", "xoxe-", body=r"[\w-]{10,300}"),
    _token("slack-legacy-token", "xoxo-", "xoxs-", "xoxa-", "xoxr-", body=r"[\w-]{10,300}"),
    _token("slack-app-token", "xapp-", body=r"\d-[\w-]{20,300}"),
    Rule(
        "slack-webhook-url",
        ("hooks.slack.com/",),
        r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<body>[\w+/-]{20,200})",
    ),
    _token("stripe-access-token", "sk_live_", "sk_test_", "rk_live_", "rk_test_", body="[A-Za-z0-9]{10,250}"),
    _token("stripe-webhook-secret", "whsec_", body="[A-Za-z0-9+/=]{24,100}"),
    _token("twilio-api-key", "SK", body="[0-9a-f]{32}(?![A-Za-z0-9])", edge=True),
    _token("sendgrid-api-token", "SG.", body=r"[\w-]{16,32}\.[\w-]{16,64}", edge=True),
    _token("sendinblue-api-token", "xkeysib-", body=r"[a-f0-9]{64}-[A-Za-z0-9]{16}"),
    _near("mailgun-private-api-token", "mailgun", value="key-[a-f0-9]{32}"),
    Rule(
        "mailchimp-api-key",
        ("-us",),
        r"-us\d{1,2}(?![A-Za-z0-9])",
        judges.preceded("(?<![a-z0-9])[a-f0-9]{32}", judges.anything),
    ),
    Rule("telegram-bot-api-token", (":AA",), r":AA(?P<body>[\w-]{33})", judges.preceded(r"(?<![0-9])\d{8,10}")),
    Rule(
        "discord-webhook-url",
        ("/api/webhooks/",),
        r"/api/webhooks/\d{15,22}/(?P<body>[\w-]{40,100})",
    ),
    Rule(
        "discord-bot-token",
        (),
        r"\.[\w-]{6,7}\.(?P<body>[\w-]{27,45})",
        judges.preceded(r"(?<![\w-])[MNO][DTjz][AEIMQUYcgk][\w-]{20,26}"),
    ),
    _near("discord-client-secret", "discord", value=r"[\w-]{32}(?![\w-])"),
    _token("shopify-access-token", "shpat_", body="[A-Fa-f0-9]{32}"),
    _token("shopify-custom-access-token", "shpca_", body="[A-Fa-f0-9]{32}"),
    _token("shopify-private-app-access-token", "shppa_", body="[A-Fa-f0-9]{32}"),
    _token("shopify-shared-secret", "shpss_", body="[A-Fa-f0-9]{32}"),
    _token("square-access-token", "sq0atp-", "sq0csp-", body=r"[\w-]{22,60}"),
    _token("databricks-api-token", "dapi", body=r"[a-f0-9]{32}(?:-\d)?", edge=True),
    _token("linear-api-key", "lin_api_", body="[A-Za-z0-9]{32,60}"),
    _token("notion-api-token", "ntn_", body="[A-Za-z0-9]{40,60}"),
    _token("postman-api-token", "PMAK-", body="[a-f0-9]{24}-[a-f0-9]{34}"),
    _token("new-relic-user-api-key", "NRAK-", body="[A-Za-z0-9]{27}"),
    _token("grafana-service-account-token", "glsa_", body=r"\w{40,60}"),
    _token("grafana-cloud-api-token", "glc_", body="[A-Za-z0-9+/]{40,400}={0,3}"),
    _token("sentry-org-token", "sntrys_", body=r"[\w+/=-]{40,400}"),
    _token("sentry-user-token", "sntryu_", body=r"[\w+/=-]{40,400}"),
    _token("figma-pat", "figd_", body=r"[\w-]{30,80}"),
    _token("circleci-api-token", "CCIPAT_", "CCIPRJ_", body=r"\w{30,100}"),
)

_CONTEXT = (
    Rule(
        "jwt",
        ("eyJ",),
        _EDGE + r"eyJ[\w-]{8,1500}+\.eyJ[\w-]{8,8000}+(?:\.[\w-]{10,2000}+)?",
        judges.web_token,
    ),
    Rule(
        "url-credentials",
        ("://",),
        rf"""://(?:(?P<user>[^{_BARE}"'`<>/@:\\]{{0,100}}+):(?P<v>[^{_BARE}"'`<>/@\\?\#]{{1,250}}+)
        |(?P<alone>[^{_BARE}"'`<>/@:\\?\#]{{16,255}}+))@(?=[\w\[.$%{{])""",
        judges.in_url,
    ),
    Rule(
        "authorization-header",
        ("authorization",),
        rf"""authorization["'\]\\]{{0,4}}{COLOURS}[ \t]{{0,4}}(?:=>|[:=,]){COLOURS}[ \t]{{0,4}}[f\\]{{0,3}}["'`]?
        (?:(?P<scheme>[A-Za-z][A-Za-z0-9-]{{2,20}})[ \t]{{1,4}})?(?P<v>[\w.~+/=:-]{{6,100}}+)""",
        judges.credentials,
        folded=True,
        more=r"[\w.~+/=:-]",
    ),
    Rule(
        "bearer-token",
        ("bearer",),
        rf"""(?P<scheme>bearer)["':]?{COLOURS}[ \t]{{1,4}}{COLOURS}(?P<v>[\w.~+/=-]{{12,300}}+)""",
        judges.credentials,
        folded=True,
        more=r"[\w.~+/=-]",
    ),
    Rule(
        "registry-login",
        ("auth",),
        r"""auth\\{0,3}["']?[ \t]{0,4}[:=][ \t]{0,4}\\{0,3}["']?(?P<v>[A-Za-z0-9+/]{8,400}={0,2})(?![\w+/.])""",
        judges.login,
        folded=True,
    ),
    Rule(
        "cookie",
        ("set-cookie",),
        rf"""set-cookie["'\]\\]{{0,4}}[ \t]{{0,4}}(?:=>|[:=,])[ \t]{{0,4}}\\{{0,3}}["'`]?
        [\w.$-]{{1,80}}=(?P<v>[^{_BARE};"',\\]{{8,300}}+)""",
        judges.random_value,
        folded=True,
        more=rf"""[^{_BARE};"',\\]""",
    ),
    Rule(
        "cookie",
        ("cookie",),
        r"""(?<!set-)cookie["'\]\\]{0,4}[ \t]{0,4}(?:=>|[:=])[ \t]{0,4}\\{0,3}["'`]?
        (?P<v>[\w.$-]{1,80}=[^\x00\r\n"'`\\]{6,1000}+)""",
        judges.cookies,
        folded=True,
        more=r"""[^\x00\r\n"'`\\]""",
    ),
    Rule(
        "curl-auth-user",
        ("curl ",),
        rf"""curl[ ][^\n\x00]{{0,300}}?(?<=[ \t])(?:-u|--user|--proxy-user|-U)[ \t=]{{0,2}}\\{{0,2}}["']?
        [^{_BARE}:"']{{1,100}}:(?P<v>[^{_BARE}"'\\]{{4,200}}+)""",
        judges.typed,
    ),
    Rule("sshpass", ("sshpass",), rf"""sshpass[ ]{{1,3}}-p[ ]?["']?(?P<v>[^{_BARE}"'\\]{{4,200}}+)""", judges.typed),
    Rule(
        "docker-login",
        ("docker login",),
        rf"""docker[ ]login[ ][^\n\x00]{{0,200}}?(?<=[ ])-p[ =]?["']?(?P<v>[^{_BARE}"'\\]{{4,200}}+)""",
        judges.typed,
    ),
    Rule(
        "netrc-password",
        ("login ", "login\n"),
        rf"""login[ \t\n]{{1,4}}[^{_BARE}]{{1,100}}[ \t\n]{{1,4}}
        password[ \t\n]{{1,4}}(?P<v>[^{_BARE}"'\\]{{4,200}}+)""",
        judges.typed,
    ),
    Rule(
        "generic-password",
        ("password>", "passwd>", "passphrase>", "secret>", "token>", "apikey>"),
        rf"""(?:password|passwd|passphrase|secret|token|apikey)>
        [ \t]{{0,4}}(?P<v>[^{_BARE}<&"']{{6,2000}}+)[ \t]{{0,4}}</""",
        element,
        folded=True,
    ),
    Rule("generic-password", ("identified", "password '", 'password "', "password\n"), SQL, in_sql, folded=True),
    Rule("generic-password", ("pass", "pwd"), ASSIGNMENT, assigned, folded=True, more=_UNQUOTED),
    Rule(
        "generic-api-key", ("secret", "token", "key", "credential"), ASSIGNMENT, assigned, folded=True, more=_UNQUOTED
    ),
    Rule("generic-api-key", ("value",), PAIR, paired, folded=True),
)

RULES: tuple[Rule, ...] = (*_KEY_BLOCKS, *_CLOUD, *_CODE_HOSTS, *_MODELS, *_SERVICES, *_CONTEXT)
"""Where two find the same, the earlier one gives the name."""
