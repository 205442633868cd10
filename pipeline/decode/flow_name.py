"""How the flow of a video is called in shards; apart from what computes it, so that nothing heavy is imported."""

FLOW = "flow.mp4"
"""Its extension."""
