"""TSM frame by frame (the paper, section 4): a stream is classified with one frame's work at each step.

The shift must look at the past alone (`direction="past"`): then what a shifted layer needs of the frames before is a
fold of the previous frame's channels, and that is all the state there is.
"""

from torch import Tensor, nn

from models.shift import TemporalShift
from models.tsm import TSM
from models.tsn import run_block
from pipeline.base.errors import ZoetropeError

# For every shift in the order in which it runs, [B, C // divisor, H, W] of the previous frame.
State = tuple[Tensor, ...]


class OnlineTSM(nn.Module):
    """A uni-directional TSM as a step over frames; it shares the modules of `model`, which stays usable.

    After T steps the average of the T logits is what `model` gives for the clip (in eval mode, where dropout rests).
    ZoetropeError for a model that looks at frames to come, or at more than one frame at a time.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        if not isinstance(model, TSM) or model.direction != "past":
            raise ZoetropeError(
                "only a TSM with direction='past' can run online: other models need frames that are yet to come"
            )
        non_local = any(name.endswith("nl") for name, _ in model.named_modules())
        if model.temporal_pool or non_local:
            raise ZoetropeError(
                "temporal pooling and non-local blocks look at whole clips; online TSM can have neither"
            )
        self.model = model

    def step(self, frame: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map float [B, C, H, W] -> (logits [B, num_classes] of this frame, state for the next one).

        A stream begins with no state, which stands for zeros, as before a clip's first frame. ZoetropeError when the
        state belongs to frames of another size.
        """
        past = iter(state) if state is not None else None
        caches: list[Tensor] = []

        def run_shift(shift: TemporalShift, x: Tensor) -> Tensor:
            y, cache = shift.step(x, None if past is None else next(past))
            caches.append(cache)
            return y

        x = self.model.base_model.stem(frame)
        for stage in self.model.base_model.stages:
            for block in stage:
                x = run_block(block, x, 1, run_shift)
        return self.model.new_fc(self.model.dropout(self.model.base_model.pooled(x))), tuple(caches)

    def forward(self, frame: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Call `step`, so that the model can be called, traced and exported."""
        return self.step(frame, state)
