"""Files in, frames out: what is admitted, how it is checked, stored and decoded, and which frames make a clip."""
