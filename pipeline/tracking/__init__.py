"""MLflow: one run per training, a spool that no point is lost from, and the exported model."""
