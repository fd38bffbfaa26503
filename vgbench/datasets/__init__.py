"""Public data sets and sources of clips: what is known about them, and what a copy really holds."""
