"""The stages of a run, one file each, in the order in which data flows: ingest, shard, train, evaluate, export.

Nothing is imported here: what a stage's package imports counts as that stage's code.
"""
