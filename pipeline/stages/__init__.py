"""The stages of a run, one file each, in the order in which data flows: ingest, shard, train, evaluate, export."""

from pipeline.graph import Graph
from pipeline.stages import evaluate, export, ingest, shard, train

GRAPH = Graph((ingest.STAGE, shard.STAGE, train.STAGE, evaluate.STAGE, export.STAGE))
