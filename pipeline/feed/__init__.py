"""What turns the order into batches."""
