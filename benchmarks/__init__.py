"""One script a claim, each printing a ratio against a named peer in the same run."""
