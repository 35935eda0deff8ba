"""The composition root: settings, telemetry, worker, local stack.

Here the environment is read, and by the published package twice: by its CLI, and by `perdure.profile`.
"""
