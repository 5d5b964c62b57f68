"""Pure data and rules: what a run is, which states it passes, what engines and environments exchange. No I/O."""
