"""LightM-UNet, and the networks it is compared with, by name.

Nothing is imported here, so that what only speaks of networks (`spec`, `image_sizes`) does not
wait for torch.
"""
