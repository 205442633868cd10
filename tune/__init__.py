"""Searches over recipe keys on Ray Tune: `python -m tune RECIPE`, or `tune.search.search` from Python."""
