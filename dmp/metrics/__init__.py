"""FID and its kin on in-memory images, and the held-out denoising loss."""

from dmp.extras import needs

needs("bench", "torch_fidelity")
