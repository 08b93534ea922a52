"""Data → Spectrum: moments of rows, modes and their strengths, for every kind of table and likelihood."""
