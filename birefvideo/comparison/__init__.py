"""Several models beside each other on a few frames of a clip: a contact sheet and a page, and what a run would cost."""
