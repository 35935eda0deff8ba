"""What touches the world: stores, index, embedder, the working-set compiler."""

import os

# The compiler multiplies matrices of some seventy rows, for which threads cost more than they give. NumPy reads it once.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
