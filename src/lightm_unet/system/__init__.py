"""Devices, memory, files and processes; independent of images and networks."""
