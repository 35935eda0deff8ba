"""The tests: `unit` needs no server, all other folders need the real ones."""
