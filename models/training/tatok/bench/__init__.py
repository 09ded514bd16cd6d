"""Times of the networks, of training steps and of generation."""
