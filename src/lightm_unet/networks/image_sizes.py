"""The images of the paper's data, for which networks are sized, counted and measured."""

CHANNELS = {2: (3, 2), 3: (1, 3)}
"""Channels in and classes out for each number of spatial dimensions, as in the paper's data."""
