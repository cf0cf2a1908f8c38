"""Pages to look at: one self-contained HTML file each, with charts and without a network."""
