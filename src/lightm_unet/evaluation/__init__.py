"""Metrics, tables, pictures, and one HTML report."""
