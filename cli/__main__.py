"""`python -m cli`: what `./croupier` hands over to."""

import gc

from cli.main import main
from runtime.leaving import leave

# Nearly all that a command makes lives until it ends. With Python's own 700 the collector looked through what
# was just imported again and again: a seventh of the processor time of `round show`.
gc.set_threshold(100_000)
try:
    main()
except SystemExit as end:
    if not isinstance(end.code, int):  # nothing, or a text to print
        raise
    leave(end.code)
