"""`python -m cli`: what `./croupier` hands over to."""

from cli.main import main
from runtime.leaving import leave

try:
    main()
except SystemExit as end:
    if not isinstance(end.code, int):  # nothing, or a text to print
        raise
    leave(end.code)
