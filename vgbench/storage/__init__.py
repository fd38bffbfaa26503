"""How vgbench keeps things on disk."""
