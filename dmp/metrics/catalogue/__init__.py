"""The metrics, each a class; every module here is read, so that a new one needs no other edit."""
