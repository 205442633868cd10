"""What a sample means to the model: its loss and its metrics. One file a task."""
