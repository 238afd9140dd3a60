"""The one way to call Claude Code: in a box, through the gateway, watched, interrupted in order, classified."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, AsyncExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import claude_agent_sdk
from claude_agent_sdk import ClaudeSDKClient
from opentelemetry.trace import Span, StatusCode

from activities.claude.call import Call, Told
from activities.claude.gateway import Gateway, Lease
from activities.claude.options import BASH_MAX_SECONDS, Ask, by_gateway, environment, options
from activities.claude.reported import Report, totals_before
from activities.sandbox import Box, Launcher, NotIsolatedError, Opened
from activities.workspace import remove
from overnight.base.redaction import Redactor
from overnight.base.settings import Settings
from overnight.base.tracing import describe, is_on, span, traceparent
from workflows.contracts.outcome import Outcome, Usage

STALL_SECONDS = BASH_MAX_SECONDS + 300.0
"""No event of Claude Code and no byte of a model for so long: it is stuck."""
IDLE_SECONDS = 180.0
"""Claude Code itself is at it, and does nothing: no pause of its own between two requests is that long."""
INTERRUPT_SECONDS = 5.0
CREDENTIALS = Path("/overnight/credentials")
"""Where files are seen inside that Claude Code itself needs on Bedrock and Vertex."""
GATEWAY_PORT = 61_081
"""Where the model is, on the box's own loopback."""
CLOSE_SECONDS = 15.0


def claude_binary(settings: Settings) -> Path:
    """The Claude Code in use: the one that a person chose, else the one bundled with the SDK."""
    bundled = Path(claude_agent_sdk.__file__).parent / "_bundled" / "claude"
    return settings.claude_path or bundled


class Runner:
    """Calls Claude Code for the activities of one worker."""

    def __init__(
        self, settings: Settings, gateway: Gateway, launcher: Launcher, redactor: Redactor | None = None
    ) -> None:
        self._settings = settings
        self._redactor = redactor or Redactor()
        self._gateway = gateway
        self._launcher = launcher

    async def run(
        self,
        ask: Ask,
        lease: Lease,
        box: Box,
        *,
        stop: asyncio.Event,
        progress: Callable[[str], None] = lambda _text: None,
    ) -> Told:
        """Make the call and see it to its end: an answer, an error, ``stop``, its time limit, or a stall.

        Whatever ends it, nothing that it started still runs when this returns. Never raises for what Claude Code does.
        """
        if stop.is_set():
            return Told(Outcome.INTERRUPTED, "stopped before it began")
        started = time.monotonic()
        reported = self._report(ask, box)
        call = Call(replace(ask, prompt=self._redactor.text(ask.prompt)), lease, progress, reported)
        with _span(ask, lease) as called:
            lease.traceparent = traceparent() if is_on() else None
            async with self._gateway.lease(lease):
                told = await self._in_box(call, box, stop)
            told = replace(told, usage=lease.usage + Usage(calls=1), seconds=time.monotonic() - started)
            _conclude(called, told)
        return told

    async def _in_box(self, call: Call, box: Box, stop: asyncio.Event) -> Told:
        try:
            async with AsyncExitStack() as stack:
                config = Path(tempfile.mkdtemp(prefix="config-"))
                stack.push_async_callback(asyncio.to_thread, remove, config)
                boxed = self._boxed(call, box, config)
                opened = await stack.enter_async_context(self._launcher.open(boxed))
                told = await self._run(call, boxed, opened, stop)
        except (NotIsolatedError, OSError) as error:
            return Told(Outcome.ENGINE_BROKEN, str(error))
        told.notes = opened.notes
        if opened.hits and told.outcome in (Outcome.CRASHED, Outcome.ENGINE_BROKEN):
            told.detail = f"{'; '.join(opened.limits_hit)}: {told.detail}"
        return told

    async def _run(self, call: Call, box: Box, opened: Opened, stop: asyncio.Event) -> Told:
        client = ClaudeSDKClient(
            options(
                call.ask,
                lease=call.lease,
                program=opened.program_of([self._launcher.tool("claude", box.tools["claude"])]),
                cwd=box.workspace,
                on_stderr=call.stderr,
            )
        )
        work = asyncio.create_task(call.converse(client))
        halted = asyncio.create_task(stop.wait())
        try:
            cut = await self._watch(call, client, work, halted)
            return call.told(work, cut)
        finally:
            halted.cancel()
            await _close(client, work)

    async def _watch(
        self, call: Call, client: ClaudeSDKClient, work: asyncio.Task[None], halted: asyncio.Task[bool]
    ) -> tuple[Outcome, str] | None:
        """Wait for the work to end by itself (None), or end it: by an interrupt, so that the transcript is whole."""
        deadline = time.monotonic() + call.ask.allowance.seconds
        while not work.done():
            now = time.monotonic()
            cut: tuple[Outcome, str] | None = None
            if halted.done():
                cut = (Outcome.INTERRUPTED, "stopped on request")
            elif now >= deadline:
                cut = (Outcome.TIME_LIMIT, f"its {call.ask.allowance.seconds:.0f} s are over")
            elif call.silent_seconds(now) > STALL_SECONDS:
                cut = (Outcome.STALLED, f"no sign of progress for {STALL_SECONDS:.0f} s")
            elif call.is_idle and call.silent_seconds(now) > IDLE_SECONDS:
                cut = (Outcome.CRASHED, f"Claude Code hung: it ran no tool and asked nothing for {IDLE_SECONDS:.0f} s")
            if cut is not None:
                call.lease.refusal = call.lease.refusal or cut[0].value
                with suppress(Exception):
                    await asyncio.wait_for(client.interrupt(), INTERRUPT_SECONDS)
                call.lease.closed.set()
                await asyncio.wait({work}, timeout=INTERRUPT_SECONDS)
                return cut
            await asyncio.wait(
                {work, halted} if not halted.done() else {work},
                timeout=min(1.0, max(0.0, deadline - now)),
                return_when=asyncio.FIRST_COMPLETED,
            )
        return None

    def _boxed(self, call: Call, box: Box, config: Path) -> Box:
        """The box with Claude Code in it, and the gateway on its loopback."""
        binary = claude_binary(self._settings)
        if not binary.is_file():
            raise OSError(f"Claude Code is not at {binary}")
        config = box.config or config
        config.mkdir(parents=True, exist_ok=True)
        access, files = self._access(call, box)
        return replace(
            box,
            config=config,
            tools={**box.tools, "claude": binary},
            readable={**box.readable, **files},
            env={**box.env, **environment(access, self._launcher.config(config))},
            services={GATEWAY_PORT: partial(self._gateway.serving, only=call.lease.token)},
        )

    def _access(self, call: Call, box: Box) -> tuple[dict[str, str], dict[Path, Path]]:
        """How Claude Code gets to a model: variables, and files of the host by where they are inside."""
        credential = self._gateway.credential
        if credential is not None and credential.direct:
            shown = {CREDENTIALS / name: path for name, path in credential.files.items()}
            places = {str(inside.name): str(self._launcher.seen(inside, path)) for inside, path in shown.items()}
            return {**credential.environment(), **places}, shown
        own_network = self._launcher.has_own_network(box.egress.mode)
        url = f"http://127.0.0.1:{GATEWAY_PORT}" if own_network else self._gateway.url
        return by_gateway(url, call.lease, oauth=credential is not None and credential.is_oauth), {}

    def _report(self, ask: Ask, box: Box) -> Report | None:
        """What Claude Code itself says that it uses, where the gateway does not see it."""
        credential = self._gateway.credential
        if credential is None or not credential.direct:
            return None
        resumed = ask.conversation if ask.resume and box.config is not None else None
        return Report(totals_before(box.config, resumed) if box.config and resumed else None)


def _span(ask: Ask, lease: Lease) -> AbstractContextManager[Span]:
    """Of one call, in the trace of its session. What was asked and answered is no part of it."""
    return span(
        f"claude_code {ask.phase}",
        phase=lease.phase,
        iteration=lease.iteration,
        attempt=lease.attempt,
        role=ask.role,
        resumed=ask.resume,
        model=ask.allowance.model,
    )


def _conclude(called: Span, told: Told) -> None:
    used = told.usage
    describe(
        called,
        {
            "gen_ai.usage.input_tokens": used.input_tokens + used.cache_read_tokens + used.cache_write_tokens,
            "gen_ai.usage.output_tokens": used.output_tokens,
            "overnight.cache_read_tokens": used.cache_read_tokens,
            "overnight.cache_write_tokens": used.cache_write_tokens,
            "overnight.cost_usd": used.cost_usd,
            "overnight.estimated_usd": used.estimated_usd,
            "overnight.responses": used.responses,
            "overnight.outcome": told.outcome.value,
        },
    )
    if told.outcome not in (Outcome.COMPLETED, Outcome.INTERRUPTED):
        called.set_status(StatusCode.ERROR)


async def _close(client: ClaudeSDKClient, work: asyncio.Task[None]) -> None:
    """End Claude Code; its namespace dies with it."""
    if not work.done():
        work.cancel()
        await asyncio.wait({work}, timeout=CLOSE_SECONDS)
    if work.done() and not work.cancelled():
        work.exception()
    with suppress(Exception):
        await asyncio.wait_for(client.disconnect(), CLOSE_SECONDS)
