"""What touches the world: stores, index, embedder, the working-set compiler."""

import os

# The compiler multiplies matrices of some seventy rows: threads cost more than they give. NumPy reads this once.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
