"""Importers of public tokenizers: own modules that load upstream's weights by upstream's names, and write a bundle."""
