"""From pictures to mattes."""
