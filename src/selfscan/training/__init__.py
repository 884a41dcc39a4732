"""Training: one engine, one loop, and the verbs that run on them."""
