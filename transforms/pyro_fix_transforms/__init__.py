"""The catalogue: one file a transform."""
