"""`python -m tune RECIPE`."""

from tune.cli import main

if __name__ == "__main__":
    main()
