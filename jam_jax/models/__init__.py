"""The modulator, what it sees of an activation, and the baselines that it has to beat."""
