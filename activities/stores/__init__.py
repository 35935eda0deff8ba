"""The drivers: Postgres and Weaviate behind the protocols of `activities.ports` and `activities.corpora.ports`."""
