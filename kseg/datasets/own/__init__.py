"""A person's own images and labels, in folders or named by a table."""
