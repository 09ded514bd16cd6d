"""Pictures from noise: a transformer over the tokens of a tokenizer, and the tokenizer's own entropy model."""
