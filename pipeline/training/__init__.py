"""The training loop and its parts: plain PyTorch, in one process or several, with or without Ray around it."""
