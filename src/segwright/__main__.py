"""`python -m segwright` and the `segwright` command."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from segwright.cli.app import run

    run()


if __name__ == "__main__":
    main()
