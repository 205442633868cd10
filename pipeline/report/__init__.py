"""A run as one page of HTML: what an evaluation keeps for it, how runs are found and compared, and the page."""
