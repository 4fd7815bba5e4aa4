"""Reproducibility benchmark for Diffusion Model Patching via Mixture-of-Prompts (DMP)."""
