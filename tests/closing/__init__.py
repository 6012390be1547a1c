"""The close of a day: controls, two signatures, the seal and its certificates."""
