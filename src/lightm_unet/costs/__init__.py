"""What networks cost: parameters, multiply-adds and scans, and the paper's own columns."""
