"""What a user wants of the matte beyond the network: masks for every frame, found on small pictures of a clip."""
