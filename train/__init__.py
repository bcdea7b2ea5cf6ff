"""Training of the segmentation network: recipes, datasets, augmentation, losses, fitting and evaluation."""
