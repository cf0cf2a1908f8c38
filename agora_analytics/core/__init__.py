"""The pure core: windows, limits, paging, verdicts and columns. No await, no socket, no clock, no chance."""
