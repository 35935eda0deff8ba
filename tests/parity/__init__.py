"""What the predecessors did, case by case: held, or surpassed on purpose. `docs/parity.md` lists the cases."""
