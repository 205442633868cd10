"""The declaration of a run, the plan of what would run and why, and its execution, one process a stage."""
