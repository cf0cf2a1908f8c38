"""An MCP server over a store: tools for assistants that only read, send no request and take no quota."""
