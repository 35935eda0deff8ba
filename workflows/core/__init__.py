"""The laws of a session, pure: no Temporal, no clock, no I/O."""
