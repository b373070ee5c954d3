"""Studies of alignment: what the measure command runs, each from arrays of activations to plain records."""
