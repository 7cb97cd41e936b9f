"""The parts of the samples: an animated person, drawn rooms and a synthetic voice."""
