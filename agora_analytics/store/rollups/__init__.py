"""Roll-ups of a store: exact aggregates of the samples, for each series and hour, in files that can always be rebuilt."""
