"""TIFF: its directories, what they mean, and the pixels of each slice."""
