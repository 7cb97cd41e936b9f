"""What scripts/train.py is made of: the cut-outs, the pictures composed from them, and the losses."""
