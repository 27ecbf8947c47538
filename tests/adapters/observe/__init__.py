"""The metrics: what is counted, what a scrape says, and what it never does."""
