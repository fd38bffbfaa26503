"""The commands of `vgbench`, one module for each group. Importing them imports no torch."""
