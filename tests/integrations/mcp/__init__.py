"""The MCP server: 40 questions over the real command, and what each tool refuses, cuts and hides."""
