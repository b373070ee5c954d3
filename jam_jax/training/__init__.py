"""From a config and activations to trained parameters: state, step, schedules, loop, checkpoints."""
