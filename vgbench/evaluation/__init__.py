"""The way from clips to a record.

In this order: `choices` (which protocol, metrics and extractor fit each other), `selection` (which clips and
which windows), `loading` (decoded windows), `extraction` (features), `measure` (one side), `evaluate` (both
sides, and the record), `signing` (what the signature says), `warnings`, `thumbnails`. Importing the package
imports no torch.
"""
