"""`python -m cli`: the command `recollect`, for whoever starts it without its script."""

from cli.main import main

main()
