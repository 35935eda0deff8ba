"""Deterministic code only: the laws of a session, and the workflows that obey them."""
