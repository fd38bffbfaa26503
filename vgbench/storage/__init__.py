"""Files that appear whole or not at all, and the folders that they live in."""
