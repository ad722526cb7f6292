"""The costs of networks: parameters, multiply-adds and scans, and the paper's own columns."""
