"""An entropy model for a frozen tokenizer: what its tokens tell of each other, so that some of them can be dropped."""
