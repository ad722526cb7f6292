"""Measure the speed and the memory of networks under equal conditions.

Every case runs in its own process, so that its peak memory is measured separately. The cases take
turns, so that a temporary slowdown of the machine affects all of them.
"""
