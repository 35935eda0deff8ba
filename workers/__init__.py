"""The composition root: settings, telemetry, worker, local stack. The only place that reads the environment."""

import os

# The compiler multiplies matrices of some seventy rows: threads would cost more than they give. NumPy reads it once.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
