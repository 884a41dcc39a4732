"""How good a segmentation is, and whether pre-training made it better."""
