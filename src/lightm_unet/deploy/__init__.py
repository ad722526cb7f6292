"""Trained models where this package is not: docs/deploy.md says which door leads where."""
