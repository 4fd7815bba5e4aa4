"""FID and its kin on in-memory images, and the held-out denoising loss."""
