"""Latents in place of images: a cache of the autoencoder's posteriors, and its reader."""
