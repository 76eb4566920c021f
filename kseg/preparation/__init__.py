"""A recipe meets its data: everything that is known, checked and built before the first step."""
