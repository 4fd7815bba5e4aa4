"""The kinds of evidence, one file each; see :mod:`dmp.claims.evidence`."""
