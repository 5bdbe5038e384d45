"""Fruit Lines: five reels, three rows, ten lines, a wild, and free spins that pay double.

Theoretical RTP: 95.5% to 96.5%. `games.maths.solve(GAME)` gives the exact fraction, which tests hold to this
range, to a second derivation and to 100,000 simulated rounds. `max_win` is exactly the largest win that the
reels can give, free spins to the last included: it can be reached, it never cuts a win, and so the RTP stands
as computed.
"""

from typing import Final

from games.slots import FreeSpins, LineSlot

GAME: Final = LineSlot(
    id="fruit-lines",
    version="1.0.0",
    title="Fruit Lines",
    stakes=(10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000),
    max_win=4_592,
    symbols={
        "W": "wild",
        "S": "star",
        "7": "seven",
        "B": "bell",
        "M": "melon",
        "G": "grapes",
        "P": "plum",
        "O": "orange",
        "L": "lemon",
        "C": "cherry",
    },
    reels=(
        "MGCBOSCPOLMCOMCPLG7CPLGBOPLGOL",
        "7PL7OPWMOGCBGMOWGLOSPBLCMLCPLC",
        "SBOWLPWLOMC7GCLO7BMCPGOCPLGPMO",
        "OWLPCGPLMGSMGCBGCWPBOLCOP7LOPM",
        "OLMGBP7OLCPLGPLGOMLCGOMCPSBOCW",
    ),
    rows=3,
    lines=(
        (1, 1, 1, 1, 1),
        (0, 0, 0, 0, 0),
        (2, 2, 2, 2, 2),
        (0, 1, 2, 1, 0),
        (2, 1, 0, 1, 2),
        (0, 0, 1, 2, 2),
        (2, 2, 1, 0, 0),
        (1, 0, 0, 0, 1),
        (1, 2, 2, 2, 1),
        (1, 0, 1, 2, 1),
    ),
    wild="W",
    scatter="S",
    line_pays={
        "7": {3: 40, 4: 200, 5: 800},
        "B": {3: 40, 4: 150, 5: 500},
        "M": {3: 25, 4: 80, 5: 300},
        "G": {3: 20, 4: 50, 5: 200},
        "P": {3: 15, 4: 40, 5: 150},
        "O": {3: 10, 4: 30, 5: 100},
        "L": {3: 10, 4: 30, 5: 100},
        "C": {3: 8, 4: 20, 5: 75},
    },
    scatter_pays={3: 3, 4: 10, 5: 50},
    free_spins=FreeSpins(awards={3: 8, 4: 10, 5: 12}, maximum=24, multiplier=2),
)
