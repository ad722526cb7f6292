"""The program `lightm-unet`, and `python -m lightm_unet`."""

import sys


def main() -> None:
    """Run the command; Ctrl-C ends it without a traceback even while it is being loaded."""
    try:
        from lightm_unet.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
