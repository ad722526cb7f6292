"""Networks that LightM-UNet is compared with, and the authors' own two."""
