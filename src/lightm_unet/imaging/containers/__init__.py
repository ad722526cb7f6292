"""Picture files as they are stored: one module for each container, and what they have in common.

A reader keeps every level, or refuses the file and says why. docs/formats.md lists what is read.
"""
