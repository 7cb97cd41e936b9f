"""The BiRefNet family: which variants there are, where their weights are, and loading them."""
