"""vgbench as part of other libraries."""
