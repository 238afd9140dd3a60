"""An MCP server that takes known arguments only, and whose errors say in a few words what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from secrets import token_hex
from typing import Any

import structlog
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.types import CallToolResult, InputRequiredResult, Tool
from pydantic import ValidationError
from temporalio.service import RPCError

from overnight.base.wording import reworded
from overnight.errors import SessionError
from overnight.mcp.engine import Engine
from overnight.request import problems

log = structlog.get_logger("mcp_server")

_LOG_LINE = "  | "
"""How lines quoted from a log begin: what programs printed does not go to a model as if we had said it."""


class OvernightServer(MCPServer[Engine]):
    """``MCPServer`` with strict arguments, portable schemas and errors in words. Params: as for ``MCPServer``."""

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

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Engine, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool. Raises ``ToolError`` with a text for the model."""
        tools = {tool.name: tool for tool in await super().list_tools()}
        if name not in tools:
            raise ToolError(f"There is no tool {_quoted(name, tools)}. The tools are: {', '.join(tools)}.")
        schema = tools[name].input_schema
        known = schema.get("properties", {})
        # Some clients send every argument, those that they have no value for as null.
        required = schema.get("required", [])
        arguments = {key: value for key, value in arguments.items() if value is not None or key in required}
        if unknown := [argument for argument in arguments if argument not in known]:
            named = ", ".join(_quoted(argument, known) for argument in unknown)
            raise ToolError(f"Unknown argument {named}. {name} takes: {', '.join(known) or 'none'}.")
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            raise _in_words(name, error) from None


_NAMES = frozenset({"title"})
_DETAILS = frozenset({"title", "description", "default", "minimum", "format", "required"})
_PROMISED = ("session_id", "status", "next")


def compact(schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON schema without the titles that pydantic makes of names."""
    return _without(schema, _NAMES)


def outline(schema: dict[str, Any]) -> dict[str, Any]:
    """A result's JSON schema: which fields there are, of which types, and which of them every client may rely on."""
    promised = [name for name in _PROMISED if name in schema.get("properties", {})]
    return {**_without(schema, _DETAILS), "required": promised}


def _without(schema: dict[str, Any], keys: frozenset[str]) -> dict[str, Any]:
    return {key: _inside(key, value, keys) for key, value in schema.items() if key not in keys}


def _inside(key: str, value: Any, keys: frozenset[str]) -> Any:
    if key in {"properties", "$defs"}:  # what they hold is named by us: a field may be called "title"
        return {name: _without(one, keys) for name, one in value.items()}
    if isinstance(value, dict):
        return _without(value, keys)
    if isinstance(value, list):
        return [_without(one, keys) if isinstance(one, dict) else one for one in value]
    return value


def _in_words(tool: str, error: ToolError) -> ToolError:
    cause = error.__cause__
    match cause:
        case ValidationError() if not isinstance(error, UnexpectedToolError):
            return ToolError(
                "\n".join([f"Bad arguments for {tool}:", *(f"- {reworded(said)}" for said in problems(cause))])
            )
        case ToolError():
            return cause
        case SessionError():
            lines = [line for line in str(cause).splitlines() if not line.startswith(_LOG_LINE)]
            return ToolError(reworded("\n".join(lines))[:4_000])
        case RPCError():
            log.warning("Temporal refused a call", tool=tool, error=str(cause))
            return ToolError(
                "Temporal does not answer as it should. Nothing is lost: sessions go on by themselves. Call again in"
                " 10 seconds; if it stays, ask the person to run `overnight doctor`."
            )
    reference = token_hex(4)
    log.error("a tool crashed", tool=tool, reference=reference, exc_info=cause or error)
    return ToolError(
        f"Internal error in {tool} (reference {reference}; the details are in this server's log, its standard error)."
        " Sessions are not affected: look with claude_autonomous_status before calling again."
    )


def _quoted(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    return f"{name[:80]!r}" + (f" (did you mean {near[0]!r}?)" if near else "")
