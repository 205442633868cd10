"""MLflow: one run per training, a spool that no point is lost from, figures, and the exported model."""
