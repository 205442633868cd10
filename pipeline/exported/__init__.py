"""An exported model: what answers with it, and what MLflow runs."""
