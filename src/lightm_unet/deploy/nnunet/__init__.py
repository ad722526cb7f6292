"""A door into nnU-Net: its plans name a network of this package, its own commands train it."""
