"""Formats as packages: what one can read and write lies in one folder, and one row of `READERS` or `FORMS` says so."""
