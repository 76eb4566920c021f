"""From files to files: the images that are named, and what is predicted for them."""
