"""Score masks: metrics, tables, pictures, and one HTML report."""
