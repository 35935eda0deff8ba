"""The composition root: settings, telemetry, worker, local stack. Only here the environment is read, but by the CLI."""
