"""Durable AI conversations on Temporal."""
