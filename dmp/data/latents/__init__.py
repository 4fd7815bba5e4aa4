"""Latents in place of images: a cache of the autoencoder's posteriors, and its loader."""

from dmp.data.latents.encode import Pixels, encode_shards, index_shards
from dmp.data.latents.store import LatentImages, LatentStore

__all__ = ["LatentImages", "LatentStore", "Pixels", "encode_shards", "index_shards"]
