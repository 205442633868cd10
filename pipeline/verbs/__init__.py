"""What the verbs of the command line do; `pipeline.cli` reads their options."""
