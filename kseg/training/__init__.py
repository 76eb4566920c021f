"""Recipes, and the training that follows them."""
