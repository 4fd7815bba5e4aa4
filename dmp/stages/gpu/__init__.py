"""What ``dmp gpu-check`` checks and measures on a GPU, or at toy sizes on a CPU."""
