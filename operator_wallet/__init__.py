"""A wallet as operators run it: a reference to read, a peer to test against, with faults on demand.

`book` is the part that matters to an author of a wallet; `wire` is what goes over the line. The rest
serves the two, or breaks them when it is asked to.
"""
