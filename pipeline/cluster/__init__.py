"""What stages and runs ask of Ray: a cluster joined or started, training workers, feeds and the tracker as actors."""
