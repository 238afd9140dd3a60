"""Parts of the MCP server: the way to the sessions, arguments, answers, errors in words, and the process's end."""
