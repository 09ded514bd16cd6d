"""Recipes: the runs behind a table, from images on a disk to the table."""
