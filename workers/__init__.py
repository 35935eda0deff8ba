"""The composition root: settings, telemetry, worker, local stack. The only place that reads the environment."""
