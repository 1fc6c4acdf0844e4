"""Pure n-D array functions on `(z, y, x)` masks and images; no files, no torch."""
