"""`python -m perdure.cli`: the `perdure` command for the present interpreter."""

from perdure.cli import main

main()
