"""An exported model: its folder, what answers with it, and the search for one that teaches."""
