"""Side-by-side measurements: the product and its peers over the same services, the same game and the same
players.
"""
