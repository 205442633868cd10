"""Parts of a schedule that lie beyond the end of the training."""

from pipeline.recipe.duration import Length
from pipeline.recipe.sampling import epoch_samples
from pipeline.recipe.schedules import Plateau, ScheduleOptions, Step
from pipeline.recipe.schema import Train


def unreached(train: Train, schedule: ScheduleOptions, samples: int | None) -> list[str]:
    """Return a sentence for a warm-up that is longer than the training, and for what is never reached of the rest.

    samples: of the training split; None where it is not known yet, and then only lengths of one unit are compared.
    """
    duration, messages = train.duration, []
    warmup = schedule.warmup
    if _is_longer(warmup, train, samples):
        messages.append(
            f"schedule.warmup: {warmup} is longer than the training ({duration}), "
            "so the learning rate never reaches its peak"
        )
    if isinstance(schedule, Plateau):
        every, least = train.evaluate, schedule.patience + 2  # the best validation comes first
        if _is_longer(Length(every.amount * least, every.unit, str(every)), train, samples):
            messages.append(
                f"schedule.patience: {least} validations, one each {every}, take longer than the training "
                f"({duration}), so the learning rate never falls"
            )
    if isinstance(schedule, Step):
        late = [str(point) for point in schedule.at if _is_longer(point, train, samples)]
        if late:
            messages.append(f"schedule.at: {', '.join(late)} lies beyond the end of the training ({duration})")
    return messages


def _is_longer(length: Length, train: Train, samples: int | None) -> bool:
    """Tell whether a length is longer than the training, as far as that can be told."""
    if length.unit == "%":
        return length.amount > 100
    if length.unit == train.duration.unit:
        return length.amount > train.duration.amount
    if samples is None:
        return False
    full, rest = divmod(epoch_samples(train.sampling, samples), train.distinct)
    epoch = full + (train.keep_last and rest > 0)
    return length.steps(epoch, train.batch_size) > train.duration.steps(epoch, train.batch_size)
