"""What the samples are made of: an animated person, drawn rooms and a synthetic voice."""
