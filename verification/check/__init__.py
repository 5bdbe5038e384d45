"""`up --check`: plays real rounds and checks every invariant, from client to history."""
