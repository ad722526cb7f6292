"""`python -m lightm_unet`."""

from lightm_unet.cli import main

main()
