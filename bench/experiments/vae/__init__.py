"""A variational autoencoder of digits whose images, or whose codes, satisfy linear constraints."""
