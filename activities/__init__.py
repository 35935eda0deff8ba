"""What touches the world: stores, index, embedder, the working-set compiler."""
