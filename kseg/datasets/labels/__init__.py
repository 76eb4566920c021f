"""Label files into numbers: class numbers, colours and their tables, masks of single objects, smoothed edges."""
