"""What a sample means to the model: its loss and its metrics. One file a task."""

from pipeline.tasks import classification

TASKS = {
    "image-classification": classification,
    "video-classification": classification,
}
