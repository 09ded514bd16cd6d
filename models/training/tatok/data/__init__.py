"""Reading images, packs of training images, and crops of a pack."""
