"""A run folder from start to report: which stages there are, how each is trained, the dry run, and going on."""
