"""Leaderboards: records ranked with ties, in every format, and compared, checked and submitted."""
