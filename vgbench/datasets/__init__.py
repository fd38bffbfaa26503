"""Data sets as users have them on disk: `inspect` looks at any, `prepare` checks the well-known ones."""
