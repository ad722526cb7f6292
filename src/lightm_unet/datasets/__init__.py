"""Data sets on disk: listing, splitting and checking them, importing public ones, phantoms."""
