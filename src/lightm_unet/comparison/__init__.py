"""Compare networks trained on the same data, split, recipe and seeds, and write one report."""
