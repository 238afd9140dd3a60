"""Arguments of the tools: flat, bounded, described, with schemas that every client understands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from workflows.contracts.spec import MAX_DESTINATIONS, MAX_WISHES
from workflows.contracts.state import MAX_EVENTS

State = Literal["queued", "running", "paused", "waiting_limit", "waiting_approval", "completed", "failed", "cancelled"]
"""Where a session stands, in the words of ``Status``."""


def _optional(schema: dict[str, Any]) -> None:
    """An argument that may be absent, or null; its schema says neither, since some clients cannot read ``anyOf``."""
    schema.pop("default", None)
    (real,) = (one for one in schema.pop("anyOf") if one != {"type": "null"})
    schema.update(real)


_OPTIONAL: Any = {"json_schema_extra": _optional}

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
Mode = Annotated[
    Literal["autonomous", "iterative"], Field(description="'iterative' is not in this version and is refused.")
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
ProtectedPaths = Annotated[list[Short], Field(max_length=100, description="Not in this version: refused unless empty.")]
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
Until = Annotated[
    Literal["attention", "end"], Field(description="attention: it ended or is paused for a person; end: it ended.")
]
TimeoutSeconds = Annotated[
    float, Field(ge=1, le=3_600, description="Longest wait. Above 55 only if this client allows such long calls.")
]
ListStatus = Annotated[State | None, Field(description="Only sessions with this status.", **_OPTIONAL)]
ListLimit = Annotated[int, Field(ge=1, le=100, description="Newest first.")]
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
After = Annotated[int, Field(ge=0, description="Only events after this number: next_after of the last answer.")]
EventLimit = Annotated[int, Field(ge=1, le=MAX_EVENTS, description="Oldest first.")]
DiffPath = Annotated[Text | None, Field(description="One file or folder, relative to the project.", **_OPTIONAL)]
DiffFormat = Annotated[Literal["stat", "patch"], Field(description="stat: files and counts; patch: the changes, too.")]


def located(project: str | None) -> str | None:
    """A folder of this machine as an absolute path, since the worker has another working directory; else as given."""
    if project is None:
        return None
    path = Path(project).expanduser()
    return str(path.resolve()) if path.is_dir() else project
