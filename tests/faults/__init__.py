"""Faults on real servers, each met for real, each judged by the ledger."""
