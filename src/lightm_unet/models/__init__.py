"""A trained network with all that is needed to use it: on disk, and running it on an array."""
