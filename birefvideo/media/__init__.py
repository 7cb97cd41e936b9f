"""From files to pictures and back."""
