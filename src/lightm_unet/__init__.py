"""LightM-UNet: light 2D and 3D medical image segmentation with Mamba layers."""
