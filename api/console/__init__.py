"""The operators' console, a program of its own: pages that read, and acts that go through the API."""
