"""Arguments of the tools: flat, bounded, described, with schemas that every client understands."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from overnight.mcp import callers
from workflows.contracts.spec import MAX_DESTINATIONS, MAX_GLOBS, MAX_STRATEGIES, MAX_WISHES
from workflows.contracts.state import MAX_EVENTS

State = Literal["queued", "running", "paused", "waiting_limit", "waiting_approval", "completed", "failed", "cancelled"]
"""Where a session stands, in the words of ``Status``."""


def _optional(schema: dict[str, Any]) -> None:
    """An argument that may be absent, or null; its schema says neither, since some clients cannot read ``anyOf``."""
    schema.pop("default", None)
    (real,) = (one for one in schema.pop("anyOf") if one != {"type": "null"})
    schema.update(real)


_OPTIONAL: Any = {"json_schema_extra": _optional}

MAX_SEQ = 1_000_000_000
"""Of an event; no session has as many."""

Short = Annotated[str, Field(max_length=200)]
Text = Annotated[str, Field(min_length=1, max_length=2_000)]

Goal = Annotated[
    str,
    Field(
        min_length=3,
        max_length=20_000,
        description="What to build or change, in full: the session sees nothing of this conversation.",
    ),
]
Project = Annotated[
    Text | None,
    Field(
        description="Absolute path of the git repository to work on, or a git URL. Its committed state is taken; the "
        "checkout is not touched. Omit only to start a project from nothing.",
        **_OPTIONAL,
    ),
]
Ref = Annotated[
    Short | None, Field(description="Branch, tag or commit to start from; default: the current one.", **_OPTIONAL)
]
ValidationCommand = Annotated[
    Text | None,
    Field(description="Shell command that must exit 0 for success, such as the tests. Strongly advised.", **_OPTIONAL),
]
SetupCommand = Annotated[
    Text | None, Field(description="Shell command that prepares a fresh clone, such as an install.", **_OPTIONAL)
]
SuccessCriteria = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=400)]],
    Field(max_length=MAX_WISHES, description="Further criteria in words; a judge decides each by quoted evidence."),
]
RecoveryStrategies = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=400)]],
    Field(max_length=MAX_STRATEGIES, description="What to try first when a check fails, before Overnight's own ways."),
]
Mode = Annotated[
    Literal["autonomous", "iterative"],
    Field(description="iterative: the plan and each iteration wait for a person's approval."),
]
MaxIterations = Annotated[int, Field(ge=1, le=10_000, description="Iterations until it pauses.")]
SuccessThreshold = Annotated[
    float, Field(ge=0.01, le=1, description="Share of tests of a command that must pass, if it reports tests.")
]
MaxTimeMinutes = Annotated[
    float, Field(ge=1, le=100_000, description="Active minutes until it pauses; waiting does not count.")
]
MaxCostUsd = Annotated[
    Annotated[float, Field(ge=0.01, le=100_000)] | None,
    Field(description="Budget in USD until it pauses; default: the installation's (20).", **_OPTIONAL),
]
OnLimit = Annotated[Literal["pause", "fail"], Field(description="At a limit: pause, or end as failed.")]
MaxTokens = Annotated[
    Annotated[int, Field(ge=1_000, le=1_000_000_000_000)] | None,
    Field(description="Most tokens of all kinds until it pauses; default: any number.", **_OPTIONAL),
]
OnUsageLimit = Annotated[
    Literal["wait", "pause"],
    Field(description="At a usage limit of the model's service: wait for its reset and go on, or pause."),
]
Egress = Annotated[
    Literal["public", "allow-list", "none", "host"] | None,
    Field(
        description="Network of what runs in the sandbox: public addresses only; allow_hosts only; none; or this "
        "machine's own, where the worker allows it. Default: the installation's (public).",
        **_OPTIONAL,
    ),
]
AllowHosts = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=200)]],
    Field(
        max_length=MAX_DESTINATIONS,
        description="For 'allow-list', which they imply: pkgs.dev, *.nlibs.dev, .example.com (it and below), an "
        "address or network, each with :port if need be. No URLs.",
    ),
]
Model = Annotated[
    Annotated[str, Field(min_length=1, max_length=128)] | None,
    Field(description="Claude model for every role; default: the installation's.", **_OPTIONAL),
]
AutoDeploy = Annotated[bool, Field(description="Not in this version: true is refused.")]
ProtectedPaths = Annotated[
    list[Short],
    Field(max_length=MAX_GLOBS, description="Globs of files that it may not change. Existing tests stay anyway."),
]
MayChange = Annotated[
    list[Short], Field(max_length=MAX_GLOBS, description="Globs of existing tests that it may change.")
]
HeldOut = Annotated[
    Text | None,
    Field(
        description="Acceptance tests that the agent never sees: absolute folder, or REF:PATH of the project.",
        **_OPTIONAL,
    ),
]
HeldOutCommand = Annotated[
    Text | None, Field(description="Runs them in a clean clone; exits 0 if they pass.", **_OPTIONAL)
]
HeldOutAt = Annotated[Short | None, Field(description="Folder there that they are put into (held_out).", **_OPTIONAL)]
HeldOutTells = Annotated[Literal["nothing", "names", "full"], Field(description="What the agent is told of a failure.")]
NewSessionId = Annotated[
    Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{2,63}$")] | None,
    Field(
        description="Id to give the session. The same id again returns the session that is there: use it to repeat a "
        "call that failed.",
        **_OPTIONAL,
    ),
]

SessionId = Annotated[
    str, Field(min_length=1, max_length=200, description="As given by claude_autonomous or claude_autonomous_list.")
]
SessionIds = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=200)]],
    Field(min_length=1, max_length=10, description="Sessions to wait for; the first that is through ends the wait."),
]
Detail = Annotated[
    Literal["summary", "full"],
    Field(description="full adds output of the tests, errors, usage and the report (criteria, evidence, attempts)."),
]
UntilWord = Literal["attention", "change", "end"]
Until = Annotated[
    UntilWord,
    Field(description="attention: one ended or needs a person; change: another phase, too; end: one ended."),
]
TimeoutSeconds = Annotated[
    float, Field(ge=1, le=3_600, description="Longest wait. Above 55 only if this client allows such long calls.")
]
WaitAfter = Annotated[
    Annotated[str, Field(pattern=r"^[0-9a-f]{8}(\.[0-9a-f]{8}){0,9}$")] | None,
    Field(description="cursor of the last answer: what it told does not end this wait.", **_OPTIONAL),
]
ListStatus = Annotated[State | None, Field(description="Only these.", **_OPTIONAL)]
ListProject = Annotated[Text | None, Field(description="Only on this path or URL.", **_OPTIONAL)]
ListQuery = Annotated[Short | None, Field(description="Only those with this in goal or id.", **_OPTIONAL)]
ListLimit = Annotated[int, Field(ge=1, le=100, description="Newest first.")]
Cursor = Annotated[
    Annotated[str, Field(max_length=2_000)] | None,
    Field(description="next_cursor of the last answer, the rest as before.", **_OPTIONAL),
]
RequestId = Annotated[
    Short | None, Field(description="Ask only if this is what waits: approval.request of its status.", **_OPTIONAL)
]
Action = Annotated[
    Literal["pause", "resume"], Field(description="pause keeps the work; resume also ends a wait for a usage limit.")
]
Reason = Annotated[Short | None, Field(description="Shown to people.", **_OPTIONAL)]
PauseWhen = Annotated[
    Literal["turn", "now"], Field(description="For pause: after the running turn, or by interrupting it.")
]
Guidance = Annotated[Text, Field(description="What to do differently, in at most 2,000 bytes.")]
SteerWhen = Annotated[
    Literal["next_step", "now"],
    Field(description="With the next step, or by interrupting the running one, which goes on with the guidance."),
]
After = Annotated[
    int, Field(ge=0, le=MAX_SEQ, description="Only events after this number: next_after of the last answer.")
]
EventLimit = Annotated[int, Field(ge=1, le=MAX_EVENTS, description="Oldest first.")]
EventKinds = Annotated[
    list[Literal["phase", "checkpoint", "validation", "error", "message", "limit", "approval", "note", "end"]],
    Field(max_length=9, description="Only these; all when empty."),
]
MinLevel = Annotated[
    Literal["info", "warning", "error"], Field(description="warning: limits and approvals, and errors.")
]
Tail = Annotated[bool, Field(description="The newest instead of the oldest.")]
DiffPath = Annotated[Text | None, Field(description="One file or folder, relative to the project.", **_OPTIONAL)]
DiffBase = Annotated[
    Literal["start", "last_iteration"], Field(description="Changes since the session began, or of its last iteration.")
]
DiffFormat = Annotated[Literal["stat", "patch"], Field(description="stat: files and counts; patch: the changes, too.")]
Query = Annotated[str, Field(min_length=2, max_length=500, description="A goal or an error.")]
KnownProject = Annotated[Text | None, Field(description="Its path or URL.", **_OPTIONAL)]
KnownKind = Annotated[
    Literal["approach", "error_solution", "template", "memory"] | None, Field(description="Only these.", **_OPTIONAL)
]
KnownLimit = Annotated[int, Field(ge=1, le=20, description="The nearest first.")]


def located(place: str | None, *, or_ref: bool = False) -> str | None:
    """A folder of this machine as an absolute path, since the worker has another working directory; else as given.

    ``or_ref``: what is no folder may name a place in a repository. For callers whose reach is bounded always as given:
    what is here, and where links lead, is not for them.
    """
    if place is None or "\0" in place or callers.current().reach.projects is not None:
        return place
    try:
        path = Path(place).expanduser()
        if path.is_dir():
            return str(path.resolve())
        return place if or_ref or ":" in place else str(path.absolute())
    except (OSError, RuntimeError, ValueError):  # no such user, too long a name, a loop of links: the worker words it
        return place


def sought(project: str | None) -> str | None:
    """The place by which the sessions on a project are found: links that stay within reach are followed."""
    if project is not None and project.startswith("/") and callers.current().reach.allows(project):
        return os.path.realpath(project)
    return located(project)
