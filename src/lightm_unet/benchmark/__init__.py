"""How fast networks are and how much memory they take, measured fairly.

Every case is a process of its own, so that its peak memory is its own; they take turns, so
that a machine that slows down slows them all.
"""
