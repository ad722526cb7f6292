"""Networks side by side: the same data, split, recipe and seeds for all, one report in the end."""
