"""`python -m cli`: what `./croupier` hands over to."""

from cli.main import main

main()
