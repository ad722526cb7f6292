"""A model as a MONAI bundle: a folder that `monai.bundle run` and tools built on bundles read.

configs     the bundle's two JSON files, without expressions that MONAI would evaluate as Python
components  what inference.json names: the network, and the steps before and after it
write       all of it, for `export`
"""
