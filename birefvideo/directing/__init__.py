"""What a person says about a matte, worked out over the whole clip on small pictures."""
