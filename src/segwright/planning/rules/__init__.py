"""Small pure rules: each returns a value and the reason for it."""
