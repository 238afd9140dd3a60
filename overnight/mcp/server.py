"""An MCP server that takes known arguments only, and whose errors say in a few words what to do next."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from secrets import token_hex
from typing import Any

import structlog
from mcp import MCPError
from mcp.server import MCPServer
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import (
    ResourceError,
    ResourceNotFoundError,
    ToolError,
    UnexpectedResourceError,
    UnexpectedToolError,
)
from mcp.types import INVALID_PARAMS, CallToolResult, GetPromptResult, InputRequiredResult, Resource, Tool
from pydantic import AnyUrl, ValidationError
from temporalio.service import RPCError

from overnight.base.patience import at_most
from overnight.base.wording import reworded
from overnight.errors import SessionError
from overnight.exchange import DOCTOR
from overnight.mcp import access, lines
from overnight.mcp.engine import Engine
from overnight.mcp.telling import afar, in_words
from overnight.request import problems

log = structlog.get_logger("mcp_server")

ANSWER_SECONDS = 1.6
"""What a call has for all that it asks of Temporal and workers."""
LAST_SECONDS = 1.85
"""When a call is ended that did not keep to that."""
QUESTION_SECONDS = 7 * 24 * 3_600.0
"""How long a person may take over a question that a client holds for them."""
UNHURRIED = frozenset({"claude_autonomous_wait", "claude_autonomous_approve"})
"""Tools that wait for a session or for a person, because that is what they are for."""

NAMED = 5
"""Of unknown arguments, how many are told by name."""
LONGEST_NAME = 80
"""Characters of a name that nobody knows."""

_OF_A_DIALOG = "Resolver "
"""How the SDK's errors begin that are about an answer to a question."""


class OvernightServer(MCPServer[Engine]):
    """``MCPServer`` with strict arguments, portable schemas, scopes and errors in words. Params: as for that one."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.middleware.append(access.methods)
        self.access = access.Access()
        """Whom this server lets call its tools."""

    live: Callable[[], Awaitable[list[Resource]]] | None = None
    """Resources that come and go, listed after those that are always there."""

    def answer(self, method: str, params: type[Any], handler: Callable[[Any, Any], Awaitable[Any]]) -> None:
        """Answer a method of the protocol that ``MCPServer`` itself knows nothing of."""
        self._lowlevel_server.add_request_handler(method, params, handler)

    async def run_stdio_async(self) -> None:
        """Serve one client on standard input and output, until it has gone."""
        await lines.serve(self._lowlevel_server)

    async def list_resources(self) -> list[Resource]:
        """The resources, those that come and go included."""
        return [*await super().list_resources(), *(await self.live() if self.live else [])]

    async def list_tools(self) -> list[Tool]:
        """The tools, their schemas without what no client reads."""
        return [
            tool.model_copy(
                update={
                    "input_schema": compact(tool.input_schema),
                    "output_schema": outline(tool.output_schema) if tool.output_schema else None,
                }
            )
            for tool in await super().list_tools()
        ]

    async def read_resource(
        self, uri: AnyUrl | str, context: Context[Engine, Any] | None = None
    ) -> Iterable[ReadResourceContents] | InputRequiredResult:
        """Read a resource. Raises ``ResourceError`` with a text for whoever reads."""
        try:
            return await super().read_resource(uri, context)
        except UnexpectedResourceError as error:
            reference = token_hex(4)
            log.error("a resource crashed", uri=str(uri)[:200], reference=reference, exc_info=error.__cause__ or error)
            raise ResourceError(
                f"Internal error (reference {reference}; details are in this server's log). Sessions are not affected."
            ) from None
        except ResourceNotFoundError as error:
            if not str(error).startswith("Unknown resource"):
                raise
            there = [*(one.uri for one in await super().list_resources())]
            there += [one.uri_template for one in await self.list_resource_templates()]
            raise ResourceNotFoundError(
                f"There is nothing at {str(uri)[:200]!r}. There is: {', '.join(there)}"
            ) from None

    async def get_prompt(
        self, name: str, arguments: dict[str, Any] | None = None, context: Context[Engine, Any] | None = None
    ) -> GetPromptResult | InputRequiredResult:
        """A prompt with its places filled. Raises ``MCPError`` in words."""
        prompts = {prompt.name: prompt for prompt in await super().list_prompts()}
        if name not in prompts:
            raise MCPError(
                INVALID_PARAMS, f"There is no prompt {_quoted(name, prompts)}. The prompts are: {', '.join(prompts)}."
            )
        known = [argument.name for argument in prompts[name].arguments or []]
        if unknown := [argument for argument in arguments or {} if argument not in known]:
            takes = f"{name} takes: {', '.join(known) or 'none'}."
            raise MCPError(INVALID_PARAMS, f"Unknown argument {_named(unknown, known)}. {takes}")
        return await super().get_prompt(name, arguments, context)

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Engine, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool. Raises ``ToolError`` with a text for the model."""
        tools = {tool.name: tool for tool in await super().list_tools()}
        if name not in tools:
            raise ToolError(f"There is no tool {_quoted(name, tools)}. The tools are: {', '.join(tools)}.")

        async def calling() -> CallToolResult | InputRequiredResult:
            return await self._checked(tools[name], arguments, context)

        return await self.access.call(tools[name], calling)

    async def _checked(
        self, tool: Tool, arguments: dict[str, Any], context: Context[Engine, Any] | None
    ) -> CallToolResult | InputRequiredResult:
        name, schema = tool.name, tool.input_schema
        known = schema.get("properties", {})
        # Some clients send every argument, those that they have no value for as null.
        required = schema.get("required", [])
        arguments = {key: value for key, value in arguments.items() if value is not None or key in required}
        if unknown := [argument for argument in arguments if argument not in known]:
            raise ToolError(f"Unknown argument {_named(unknown, known)}. {name} takes: {', '.join(known) or 'none'}.")
        try:
            if name in UNHURRIED:
                return await super().call_tool(name, arguments, context)
            with at_most(ANSWER_SECONDS):
                async with asyncio.timeout(LAST_SECONDS):
                    return await super().call_tool(name, arguments, context)
        except ToolError as error:
            raise _in_words(name, error) from None
        except TimeoutError:
            log.warning("a tool took too long", tool=name, seconds=LAST_SECONDS)
            raise ToolError(
                f"{name} got no answer in time: Temporal or this machine is very busy. It may have been done all the"
                " same: look with claude_autonomous_status in 10 seconds before calling again."
            ) from None


_NAMES = frozenset({"title"})
_DETAILS = frozenset(
    {
        "$defs",
        "title",
        "description",
        "default",
        "minimum",
        "format",
        "required",
        "enum",
        "items",
        "additionalProperties",
    }
)
_PROMISED = ("session_id", "status", "next")


def compact(schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON schema without the titles that pydantic makes of names."""
    return _without(schema, _NAMES)


def outline(schema: dict[str, Any]) -> dict[str, Any]:
    """A result's JSON schema: its fields, of which types, and which of them every client may rely on; no deeper."""
    promised = [name for name in _PROMISED if name in schema.get("properties", {})]
    return {**_without(schema, _DETAILS), "required": promised}


def _without(schema: dict[str, Any], keys: frozenset[str]) -> dict[str, Any]:
    return {key: _inside(key, value, keys) for key, value in schema.items() if key not in keys}


def _inside(key: str, value: Any, keys: frozenset[str]) -> Any:
    if key in {"properties", "$defs"}:  # what they hold is named by us: a field may be called "title"
        return {name: _inside("", one, keys) for name, one in value.items()}
    if isinstance(value, dict) and "$ref" in value:
        return {"type": "object"}
    if (
        isinstance(value, dict)
        and len(types := [one.get("type", "object" if "$ref" in one else None) for one in value.get("anyOf", [])]) == 2
        and all(types)
    ):
        return {"type": types}
    if isinstance(value, dict):
        return _without(value, keys)
    if isinstance(value, list):
        return [_inside("", one, keys) for one in value]
    return value


def _in_words(tool: str, error: ToolError) -> ToolError:
    cause = error.__cause__
    match cause:
        case ValidationError() if not isinstance(error, UnexpectedToolError):
            return ToolError(
                "\n".join([f"Bad arguments for {tool}:", *(f"- {reworded(said)}" for said in problems(cause))])
            )
        case ToolError() if str(cause).startswith(_OF_A_DIALOG):
            return ToolError(_unfit(tool, cause))
        case ToolError():
            return cause
        case SessionError():
            return ToolError(in_words(cause))
        case RPCError():
            log.warning("Temporal refused a call", tool=tool, error=str(cause))
            return ToolError(
                "Temporal does not answer as it should. Nothing is lost: sessions go on by themselves. Call again in"
                f" 10 seconds; if it stays, {'tell whoever runs this server' if afar() else DOCTOR}."
            )
    reference = token_hex(4)
    log.error("a tool crashed", tool=tool, reference=reference, exc_info=cause or error)
    return ToolError(
        f"Internal error in {tool} (reference {reference}; the details are in this server's log, its standard error)."
        " Sessions are not affected: look with claude_autonomous_status before calling again."
    )


def _unfit(tool: str, error: ToolError) -> str:
    """What was wrong with that which came back from a dialog; the SDK tells it in names of its own."""
    wrong: Exception = error
    while not isinstance(wrong, ValidationError) and isinstance(wrong.__cause__, Exception):
        wrong = wrong.__cause__
    said = [reworded(one) for one in problems(wrong)] if isinstance(wrong, ValidationError) else ["it has no content"]
    return "\n".join(
        [
            "The answer that this client sent back from its dialog does not fit the question:",
            *(f"- {one}" for one in said),
            f"Nothing was decided. Call {tool} again, and the person is asked again.",
        ]
    )


def _named(names: Sequence[str], known: Iterable[str]) -> str:
    """The first of these names, each with the one that was perhaps meant: a message can hold any number of them."""
    shown = ", ".join(_quoted(name, known) for name in names[:NAMED])
    return f"{shown} and {len(names) - NAMED:,} more" if len(names) > NAMED else shown


def _quoted(name: str, known: Iterable[str]) -> str:
    name = name[:LONGEST_NAME]  # what is longer resembles nothing, and takes long to compare
    near = difflib.get_close_matches(name, list(known), 1)
    return f"{name!r}" + (f" (did you mean {near[0]!r}?)" if near else "")
