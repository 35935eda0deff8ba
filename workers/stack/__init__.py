"""The local stack: Temporal, PostgreSQL and Weaviate on one machine, started together and stopped together."""
