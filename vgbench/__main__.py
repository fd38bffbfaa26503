"""`python -m vgbench`, also under `torchrun -m vgbench`."""

from vgbench.cli import main

main()
