"""What leaves the building: the model folder."""
