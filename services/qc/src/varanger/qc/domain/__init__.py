"""Pure sampling theory: numbers in, numbers out. `design` → `draw` → (people answer) → `estimator` → `report`."""
