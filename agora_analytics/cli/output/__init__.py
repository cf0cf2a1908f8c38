"""How rows are written: the options, the columns and one writer for each format."""
