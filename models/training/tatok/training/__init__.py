"""The loop, the objective, the optimisers and the checkpoints of a training run."""
