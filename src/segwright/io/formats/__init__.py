"""Formats that one module reads, and where it can, writes; one row of `READERS` or `FORMS` names each."""
