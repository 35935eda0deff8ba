"""Ingest of folders: cut into spans, embedded, stored, put into the index, published."""
