"""What several commands take, or what takes many words, as typer reads and shows it."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

Id = Annotated[str, typer.Argument(metavar="ID", help="The session's id.", show_default=False)]
MaybeId = Annotated[str | None, typer.Argument(metavar="[ID]", help="The session's id; the newest one if left out.")]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of words.")]
Wait = Annotated[bool, typer.Option("--wait", help="Come back when the session needs a person, too (exit code 5).")]
Now = Annotated[bool, typer.Option("--now", help="Interrupt the running turn; its work is kept.")]
Request = Annotated[
    str | None,
    typer.Argument(
        metavar="[REQUEST]",
        help="What is answered, such as plan or iteration-3; asked for if left out.",
        show_default=False,
    ),
]
Reason = Annotated[str, typer.Option(help="Why, for the record.", show_default=False)]
Egress = Annotated[
    Literal["public", "allow-list", "none", "host"] | None,
    typer.Option(
        help="Network of what runs in the sandbox. public: public addresses, nothing private and nothing of this "
        "machine. allow-list: only what --allow-host names. none: none at all. host: this machine's own network, its "
        "ports included, where the worker allows that. (default: public, or OVERNIGHT_EGRESS)"
    ),
]
AllowHost = Annotated[
    list[str] | None,
    typer.Option(
        metavar="HOST",
        help="Where the sandbox may go, and nowhere else: pkgs.dev, *.nlibs.dev (what is below it), .example.com "
        "(both), an address or a network, each with :port if need be; may be repeated.",
    ),
]
Protect = Annotated[
    list[str] | None,
    typer.Option(metavar="GLOB", help="Files that the session may not change, such as tests/**; may be repeated."),
]
MayChange = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GLOB",
        help="Existing tests, or settings of what runs them, that it may change, beside those that the plan finds the "
        "goal to ask for; may be repeated.",
    ),
]
HeldOut = Annotated[
    str | None,
    typer.Option(
        metavar="PATH|REF[:PATH]",
        help="Acceptance tests that the agent never sees: a folder outside of what is committed, or a place on another "
        "branch. They run in a clean clone, after everything else holds.",
    ),
]
HeldOutCommand = Annotated[
    str | None,
    typer.Option(metavar="CMD", help="Runs them from the clone's root, without network; exits 0 only if they pass."),
]
HeldOutAt = Annotated[
    str | None, typer.Option(metavar="PATH", help="Folder of the clone that they are put into. (default: held_out)")
]
HeldOutTells = Annotated[
    Literal["nothing", "names", "full"] | None,
    typer.Option(help="What the agent is told of a failure: nothing more, names of tests, all. (default: names)"),
]
StatusName = Literal[
    "queued", "running", "paused", "waiting_limit", "waiting_approval", "completed", "failed", "cancelled"
]
