"""The same program as the installed command `kseg`."""

from kseg.cli import main

if __name__ == "__main__":
    main()
