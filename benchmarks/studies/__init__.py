"""Studies: trainings that differ in one thing each. What does it change? The papers' comparisons are among them."""
