"""Histories that were saved once, and must replay for ever."""
