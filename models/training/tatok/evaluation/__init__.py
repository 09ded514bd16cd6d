"""Figures of a model on folders of images, and the reports that show them."""
