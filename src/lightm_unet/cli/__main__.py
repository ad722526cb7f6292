"""`python -m lightm_unet.cli`."""

from lightm_unet.cli import main

main()
